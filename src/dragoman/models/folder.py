"""The folder that prompts are made with, for an engine that takes token ids: tokenizer, chat template, settings."""

import re
from pathlib import Path

from dragoman.errors import EngineFailed
from dragoman.models.gguf_file import UnusableModel
from dragoman.models.resolve import HUB_PREFIX, REPOSITORY
from dragoman.models.tokenizer_folder import FILES


def find_folder(named: str) -> Path:
    """A folder on this machine, or the files of a repository on the Hub, brought here unless they are here already.

    Blocks for as long as that takes. Raises `EngineFailed` where it is neither.
    """
    path = Path(named)
    if path.is_dir():
        return path
    repo = named.removeprefix(HUB_PREFIX)
    if not re.fullmatch(REPOSITORY, repo):
        raise EngineFailed(f"{named} is no folder on this machine: name the tokenizer's with --tokenizer DIR or OWNER/REPO")
    from dragoman.models import hub  # noqa: PLC0415 -- slow to import, and most starts go without

    try:
        return hub.download_files(repo, FILES)
    except UnusableModel as error:
        raise EngineFailed(str(error)) from error
