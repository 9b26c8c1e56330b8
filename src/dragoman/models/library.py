"""The models on this machine: those in the Hub's cache, and the default model; finding and removing them.

A model is named as the command line names it. Of a repository with several revisions in the cache, the one that the name stands
for is meant: `main`. huggingface_hub, which keeps the cache, takes a good part of a second to import: import this module only
where it is needed, not at the top.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from huggingface_hub import CachedFileInfo, CachedRepoInfo, CachedRevisionInfo, HFCacheInfo, constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from dragoman.models import gguf_file as gguf
from dragoman.models.gguf_header import trained_window
from dragoman.models.hub import choose
from dragoman.models.memory import Footprint
from dragoman.models.resolve import (
    DEFAULT,
    HUB_PREFIX,
    HUB_SPEC,
    WHEEL,
    ModelFile,
    UnusableModel,
    fetched_default,
    installed_default,
)

_MAIN = "main"


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model on this machine. `name` is how the command line names it, `size` that of its files in bytes."""

    name: str
    file: ModelFile
    size: int
    used: datetime

    @property
    def quantisation(self) -> str | None:
        """The quantisation of its weights, where its file names it."""
        return gguf.quantisation(self.file.path.stem)

    @property
    def window(self) -> int | None:
        """The context length that it was trained for, in tokens."""
        return trained_window(self.file.path)

    def memory(self, window: int) -> int:
        """About how many bytes it takes with one conversation of `window` tokens, or of those that it was trained for."""
        return Footprint.of(self.file).total(min(window, self.window or window), 1)


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed: the `names` of files, and the bytes that were freed. `shared` are bytes that other revisions use."""

    names: Sequence[str]
    freed: int
    shared: int = 0


def models() -> list[LibraryModel]:
    """The models on this machine, those used last first."""
    found = [*_defaults(), *(model for repo in _repos(_cache()) for model in _in_repo(repo))]
    return sorted(found, key=lambda model: model.used, reverse=True)


def unfinished() -> int:
    """The bytes of downloads that were interrupted: pulling the model again continues them."""
    return sum(path.stat().st_size for repo in _repos(_cache()) for path in repo.repo_path.glob("blobs/*.incomplete"))


def remove(name: str) -> Removal:
    """Remove a model from this machine. Raises `UnusableModel` if it is not here, or was not put here by this program."""
    if name == DEFAULT:
        return _remove_default()
    match = HUB_SPEC.fullmatch(name)
    if match is None:
        raise UnusableModel(
            f"{name}: only models in the Hub's cache ({HUB_PREFIX}OWNER/REPO:QUANT) and {DEFAULT} are removed"
            + ("; delete the file yourself" if Path(name).exists() else "")
        )
    cache = _cache()
    repo = next((repo for repo in _repos(cache) if repo.repo_id == match["repo"]), None)
    if cache is None or repo is None:
        raise UnusableModel(f"{name} is not on this machine; `dragoman list` shows what is")
    if match["wanted"] is None and len(names := [model.name for model in _in_repo(repo)]) > 1:
        raise UnusableModel(f"{name} is more than one model here: name one of {', '.join(names)}")
    held = _by_name(repo.refs[_MAIN])
    wanted = set(gguf.parts(choose(repo.repo_id, list(held), match["wanted"])))
    left = [file for file in held if file.endswith(gguf.SUFFIX) and file not in wanted]
    if all(gguf.PROJECTOR.search(PurePosixPath(file).stem) for file in left):
        wanted.update(left)  # an image projector is of no use without its model
    return _remove(cache, repo, wanted)


def _remove(cache: HFCacheInfo, repo: CachedRepoInfo, names: set[str]) -> Removal:
    """Remove the named files from `main` and from revisions without a name, which are what earlier downloads left."""
    found = [file for revision in _ours(repo) for name, file in _by_name(revision).items() if name in names]
    sizes = {file.blob_path: file.size_on_disk for file in found}
    try:
        freed = _delete_files(cache, found)
        rest = scan_cache_dir(constants.HF_HUB_CACHE)
        left = [revision for held in rest.repos if held.repo_path == repo.repo_path for revision in _ours(held)]
        if emptied := [revision.commit_hash for revision in left if not revision.files]:
            rest.delete_revisions(*emptied).execute()
    except OSError as error:
        raise UnusableModel(f"{repo.repo_id} cannot be removed: {error}") from None
    return Removal(sorted(names), freed, sum(sizes.values()) - freed)


def _ours(repo: CachedRepoInfo) -> list[CachedRevisionInfo]:
    return [revision for revision in repo.revisions if _MAIN in revision.refs or not revision.refs]


def _delete_files(cache: HFCacheInfo, files: Sequence[CachedFileInfo]) -> int:
    """Remove files, but not what another revision shares; returns the number of bytes that are freed."""
    if hasattr(cache, "delete_files"):
        strategy = cache.delete_files(*files)
        strategy.execute()
        return int(strategy.expected_freed_size)
    # huggingface_hub before 2.0, whose repositories share nothing
    all_files = [file for repo in cache.repos for revision in repo.revisions for file in revision.files]
    kept = {file.blob_path for file in all_files if file not in files}
    removed = {file.blob_path: file.size_on_disk for file in files if file.blob_path not in kept}
    for path in (*(file.file_path for file in files), *removed):
        path.unlink(missing_ok=True)
    return sum(removed.values())


def _in_repo(repo: CachedRepoInfo) -> Iterator[LibraryModel]:
    """The complete models of a repository, in the revision that its name leads to."""
    held = _by_name(repo.refs[_MAIN])
    sees = gguf.projector(list(held))
    firsts = [name for name in held if gguf.is_model(PurePosixPath(name)) and set(gguf.parts(name)) <= set(held)]
    for first in firsts:
        files = [held[part] for part in gguf.parts(first)] + ([held[sees]] if sees else [])
        model = ModelFile(
            held[first].file_path, gguf.model_name(PurePosixPath(first).stem), held[sees].file_path if sees else None
        )
        used = max(file.blob_last_accessed for file in files)
        size = sum(file.size_on_disk for file in files)
        yield LibraryModel(_spec(repo.repo_id, first, firsts), model, size, datetime.fromtimestamp(used, UTC))


def _spec(repo: str, file: str, files: Sequence[str]) -> str:
    """The name of the file's model: with its quantisation if that leads to it, else with the name of the file."""
    quantisation = gguf.quantisation(PurePosixPath(file).stem)
    leads = quantisation is not None and choose(repo, files, quantisation) == file
    return f"{HUB_PREFIX}{repo}:{quantisation if leads else file}"


def _by_name(revision: CachedRevisionInfo) -> dict[str, CachedFileInfo]:
    """The files of a revision by their names in the repository."""
    files = sorted(revision.files, key=lambda file: file.file_path)
    return {file.file_path.relative_to(revision.snapshot_path).as_posix(): file for file in files}


def _repos(cache: HFCacheInfo | None) -> list[CachedRepoInfo]:
    """The repositories of models to which a name leads."""
    return [repo for repo in cache.repos if repo.repo_type == "model" and _MAIN in repo.refs] if cache else []


def _cache() -> HFCacheInfo | None:
    try:
        return scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return None


def _defaults() -> Iterator[LibraryModel]:
    path = installed_default() or fetched_default()
    if path is not None:
        status = path.stat()
        model = ModelFile(path, gguf.model_name(path.stem))
        yield LibraryModel(DEFAULT, model, status.st_size, datetime.fromtimestamp(status.st_atime, UTC))


def _remove_default() -> Removal:
    path = fetched_default()
    if path is None:
        if installed_default():
            raise UnusableModel(
                f"the default model is a package of this environment: `uv pip uninstall {WHEEL.partition('==')[0]}` removes it"
            )
        raise UnusableModel("the default model is not on this machine")
    folder = path.parents[1]
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UnusableModel(f"the default model cannot be removed: {error}") from None
    return Removal([path.name], size)
