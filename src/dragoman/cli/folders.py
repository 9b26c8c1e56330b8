"""Folders that options name."""

import os
import sys
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


def data_folder() -> Path:
    """Our folder for data, in the platform's place for it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "dragoman" / "Data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "dragoman"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "dragoman"
