"""Downloads the source distributions of the SDKs, at the versions that are installed, into the cache."""

import shutil
import subprocess
import tarfile
from importlib.metadata import version
from pathlib import Path

from clients.installed import CACHE, once

PIP = "pip==26.2"


def source(name: str) -> Path:
    """The unpacked source distribution of an SDK, without the SDK itself: the installed one is tested."""
    release = f"{name}-{version(name)}"

    def fill(scratch: Path) -> None:
        uv = shutil.which("uv")
        assert uv is not None, "uv is required to download the sources"
        download = [
            uv,
            "tool",
            "run",
            "--quiet",
            "--from",
            PIP,
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
        ]
        wanted = release.replace("-", "==")
        subprocess.run([*download, "--dest", str(scratch), wanted], cwd=CACHE.anchor, check=True, capture_output=True)
        (archive,) = scratch.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        for path in (scratch / release).iterdir():
            path.rename(scratch / path.name)
        shutil.rmtree(scratch / "src")

    return once(CACHE / "sdk-sources" / release, fill)
