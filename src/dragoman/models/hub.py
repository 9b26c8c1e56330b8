"""Chooses and downloads model files from the Hub.

The cache, resumed downloads and the progress bar come from huggingface_hub, and so do `HF_ENDPOINT`, `HF_TOKEN` and `HF_HOME`.
The library takes a good part of a second to import: import this module where it is needed, not at the top.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, constants, scan_cache_dir
from huggingface_hub.errors import (
    CacheNotFound,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

# The base class of its HTTP client's errors, imported from here because the client differs between versions.
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # isort: skip

from dragoman.models import gguf_file as gguf
from dragoman.models.gguf_file import UnusableModel

PREFERENCE = ("Q4_K_M", "Q4_0", "Q4_1", "Q8_0")
"""The quantisations that are tried where the user named none: the best for its size first, then the commonest."""

TIMEOUT_S = 10.0


def download(repo: str, wanted: str | None, *, projector: bool = True) -> tuple[Path, Path | None]:
    """Download the model, unless it is cached, and return the path of its file: the first, where it is split.

    `wanted` is a quantisation, or the name of a file in the repository. With `projector`, the image projector is downloaded and
    returned, too, if the repository has one. Raises `UnusableModel`.
    """
    with _one_line_errors(repo):
        hub = HfApi()
        files = _list(hub, repo)
        file = choose(repo, files, wanted)
        paths = [Path(hub.hf_hub_download(repo, part)) for part in gguf.parts(file)]
        sees = gguf.projector(files) if projector else None
        return paths[0], Path(hub.hf_hub_download(repo, sees)) if sees else None


def download_files(repo: str, names: Sequence[str]) -> Path:
    """Download those of the named files that the repository has, and return their folder. Raises `UnusableModel`."""
    with _one_line_errors(repo):
        hub = HfApi()
        held = set(_list(hub, repo)).intersection(names)
        paths = [Path(hub.hf_hub_download(repo, name)) for name in names if name in held]
    if not paths:
        raise UnusableModel(f"{repo} has no {names[0]}")
    return paths[0].parent


def _list(hub: HfApi, repo: str) -> list[str]:
    """The names of the repository's files; where the Hub cannot be reached, those in the cache."""
    try:
        siblings = hub.model_info(repo, timeout=TIMEOUT_S).siblings
    except (HTTPError, OfflineModeIsEnabled) as error:
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
        if refused or not (cached := _list_cached(repo)):
            raise
        return cached
    return [sibling.rfilename for sibling in siblings or ()]


def _list_cached(repo: str) -> list[str]:
    try:
        held = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    revisions = [entry.refs["main"] for entry in held if entry.repo_id == repo and "main" in entry.refs]
    return [file.file_path.relative_to(main.snapshot_path).as_posix() for main in revisions for file in main.files]


def choose(repo: str, files: Sequence[str], wanted: str | None) -> str:
    """The model's file among the repository's files; of a split one, the first part. Raises `UnusableModel`."""
    models = [file for file in files if gguf.is_model(PurePosixPath(file))]
    if not models:
        raise UnusableModel(f"{repo} has no {gguf.SUFFIX} file")
    if wanted is None:
        preferred = (_find(models, quantisation) for quantisation in PREFERENCE)
        return next(filter(None, preferred), models[0])
    found = _find(models, wanted)
    if found is None:
        choice = sorted({gguf.quantisation(PurePosixPath(file).stem) or file for file in models})
        raise UnusableModel(f"{repo} has no {wanted}; it has {', '.join(choice)}")
    return found


def _find(models: Sequence[str], wanted: str) -> str | None:
    """The file of that name, or one with this word in its name; of several, the one with the shortest name."""
    exact = [file for file in models if wanted in (file, PurePosixPath(file).name)]
    word = re.compile(rf"(?<![A-Z0-9]){re.escape(wanted)}(?![A-Z0-9_])", re.IGNORECASE)
    return min(exact or filter(word.search, models), key=len, default=None)


@contextmanager
def _one_line_errors(repo: str) -> Iterator[None]:
    """Turn the library's errors into `UnusableModel` with one line for the user."""
    try:
        yield
    except GatedRepoError:
        raise UnusableModel(f"{repo} is gated: accept its terms on the Hub, and set HF_TOKEN to your token") from None
    except RepositoryNotFoundError:
        raise UnusableModel(f"{repo}: no such repository on the Hub, or a private one without access for HF_TOKEN") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = "refuses HF_TOKEN" if status in (401, 403) else "fails"
        raise UnusableModel(f"{repo} cannot be downloaded: the Hub {reason} (status {status})") from None
    except (HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise UnusableModel(f"{repo} is not in the cache, and the Hub cannot be reached: {_first_line(error)}") from None
    except HFValidationError as error:
        raise UnusableModel(f"{repo} is not the name of a repository: {_first_line(error)}") from None
    except OSError as error:
        raise UnusableModel(f"{repo} cannot be downloaded: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
