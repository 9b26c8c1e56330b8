"""Finds the folder of a remote engine's model: tokenizer, chat template, settings."""

import re
from pathlib import Path

from dragoman.errors import EngineFailed
from dragoman.models.gguf_file import UnusableModel
from dragoman.models.resolve import HUB_PREFIX, REPOSITORY
from dragoman.models.tokenizer_folder import FILES


def find_folder(named: str) -> Path:
    """The path of a folder on this machine, or of the downloaded files of a repository on the Hub.

    Blocks during a download. Raises `EngineFailed` where `named` is neither.
    """
    path = Path(named)
    if path.is_dir():
        return path
    repo = named.removeprefix(HUB_PREFIX)
    if not re.fullmatch(REPOSITORY, repo):
        raise EngineFailed(f"{named} is not a folder on this machine: name the tokenizer's with --tokenizer DIR or OWNER/REPO")
    from dragoman.models import hub  # noqa: PLC0415 -- slow to import, and rarely needed

    try:
        return hub.download_files(repo, FILES)
    except UnusableModel as error:
        raise EngineFailed(str(error)) from error
