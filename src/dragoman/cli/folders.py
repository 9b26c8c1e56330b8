"""Folders that options name."""

import os
from pathlib import Path

from dragoman.cli.usage_error import UsageError


def check_writable(folder: Path | None, purpose: str) -> None:
    """Make a private folder that an option names, if it is not there. Raises `UsageError` if it cannot be written to."""
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot {purpose} to {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot {purpose} to {folder}: it is not writable")
