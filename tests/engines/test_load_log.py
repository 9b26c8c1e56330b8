"""What llama.cpp's log says of the devices, in the lines of several versions."""

import pytest

from dragoman.engines.llama.load_log import LoadLog

CPU = """0.00.22 I cmn  common_param: device_info:
0.00.23 I cmn  common_param:   - CPU     : Intel(R) Xeon(R) Processor (24105 MiB, 24105 MiB free)
0.00.23 I cmn  common_param: system_info: n_threads = 2 (n_threads_batch = 2) / 2 | CPU : SSE3 = 1 |
3.79 I cmn init: llama threadpool init, n_threads = 7"""
VULKAN = """  - Vulkan0 : llvmpipe (LLVM 15.0.6, 256 bits) (2048 MiB, 1900 MiB free)
  - CPU     : Intel(R) Xeon(R) Processor (24105 MiB, 24105 MiB free)
system_info: n_threads = 1 (n_threads_batch = 1) / 2 |
llama_prepare_model_devices: using device Vulkan0 (llvmpipe (LLVM 15.0.6, 256 bits)) (unknown id) - 1900 MiB free
load_tensors: offloaded 3/3 layers to GPU"""
OLDER = """llama_model_load_from_file_impl: using device CUDA0 (NVIDIA A) - 11000 MiB free
llama_model_load_from_file_impl: using device CUDA1 (NVIDIA B) - 12000 MiB free
load_tensors: offloaded 20/33 layers to GPU"""


@pytest.mark.parametrize(
    ("log", "computes"),
    [
        (CPU, "CPU (Intel(R) Xeon(R) Processor), 24,105 MiB, 2 threads"),
        (VULKAN, "Vulkan0 (llvmpipe (LLVM 15.0.6, 256 bits)), 2,048 MiB, 3 of 3 layers on it, 1 thread"),
        (
            OLDER,
            "CUDA0 (NVIDIA A), 11,000 MiB free and CUDA1 (NVIDIA B), 12,000 MiB free, 20 of 33 layers on them",
        ),
        ("a log in another form", "CPU"),
    ],
)
def test_a_log_says_what_computes(log: str, computes: str) -> None:
    read = LoadLog()
    for line in log.splitlines():
        read.read(line)
    assert read.computes == computes
