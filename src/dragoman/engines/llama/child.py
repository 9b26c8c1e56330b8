"""The child process that runs llama.cpp: `python -m dragoman.engines.llama.child`.

It reads one line of JSON from its standard input (`ChildConfig`), loads the model, prints one line of JSON (`Listening`) and
then serves until its standard input ends. That happens when the parent closes it and when the parent dies for any reason:
the kernel closes the pipe. llama.cpp's log goes to standard error. The exit status is 1 where the model does not load.
"""

import os
import signal
import sys
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.engines.llama.speculation import KEY, OFF, Speculation, Way, longest_draft

CPU_BATCH = 256
"""Prompt tokens per step without a GPU. A cancellation waits for a step, and so do the other slots: on two cores with a 135M
model 1.5 s at worst with 256, 2.9 s with 512, 8 s with llama.cpp's 2,048, all at the same speed; 128 costs a tenth of it."""

LEAST_IMAGE_BATCH = 512
"""The fewest prompt tokens per step with a projector: in some models the tokens of an image (256, 280) see each other, also the
later ones, which needs all of them in one step."""

SPARE_HTTP_THREADS = 512
"""The server holds a thread per open connection, also for requests that wait for a slot; all of these cost 4 MB when idle."""

LARGEST_PROMPT_CACHE_MIB = 8_192
"""llama.cpp's own limit on prompts kept in memory outside the slots; a quarter of the machine's memory is another limit."""

SPIN_COUNT = "1000"
"""How often a thread of llama.cpp (its CPU build uses libgomp) spins for the others before it sleeps; the default is 300,000.
With other busy processes on every core, decoding falls from 165 tokens per second to 9, since threads spin for one that has no
core; so it does with 10,000. With 1,000 about 90 are left, and a quiet machine decodes as fast as with 10,000, within 3 %; with
100 it loses a third (two cores, the default model)."""

LOAD_LOG = 4
"""The verbosity with which llama.cpp logs where it puts a model; it logs nothing more for each token."""

GPU_LAYERS = {"auto": -1, "all": -2}
"""llama.cpp's numbers for these words."""


class ChildConfig(Struct, frozen=True):
    """The configuration of a child. `host` is the path of a unix socket, or an address, where a free port is used.

    `context` is in tokens per slot. `similarity` is the share of a prompt that a slot must hold for the server to choose the
    slot for that reason; with 0 it never does. `projector` is the file that makes the model see, None for no images.
    `saves` is the folder in which slots may be saved, None for none.
    `gpu_layers` is the number of layers on GPUs, or `all` or `auto`; None for as many as fit. `sharing` is how many models
    share the memory for prompts outside the slots. By default nothing speculates, as in llama.cpp.
    """

    model: str
    name: str
    host: str
    key: str
    context: int
    parallel: int
    threads: int
    similarity: float = 0.0
    projector: str | None = None
    saves: str | None = None
    gpu_layers: str | None = None
    sharing: int = 1
    speculation: Speculation = OFF


class Listening(Struct, frozen=True):
    """The child's report that the model is loaded: its address, `unix://…` or `http://…`, and whether the library has a GPU."""

    address: str
    on_gpu: bool = False


def main() -> None:
    """Serve until standard input ends."""
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildConfig)
    _die_with_parent()
    os.umask(0o077)  # saved slots hold conversations
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever llama.cpp prints, the only line on standard output is ours
    try:
        server, on_gpu = _serve(config)
    except RuntimeError:  # the reason is in the log
        sys.exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager sends it to all processes: the parent saves slots first
    os.write(answer, msgspec.json.encode(Listening(server.listening_address, on_gpu)) + b"\n")
    sys.stdin.buffer.read()
    os._exit(0)  # skip the clean-up: what is to be saved was saved, and open streams could delay it


def _die_with_parent() -> None:
    """Have the kernel send SIGIO, which ends the process by default, when the other end of standard input is closed.

    Reading until the end would be enough, but llama.cpp holds the interpreter's lock while it loads, for minutes with a large
    model.
    """
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415  # does not exist on all platforms

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(config: ChildConfig) -> tuple[Any, bool]:
    """Load the model; the server, and whether the library has a device other than the CPU."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read once, when the library is loaded
    import xllamacpp  # noqa: PLC0415  # the parent, which imports `ChildConfig`, does not need it

    params = xllamacpp.CommonParams()
    params.model.path = config.model
    params.model_alias = {config.name}
    if config.projector is not None:
        params.mmproj.path = config.projector
    params.hostnames = [config.host]
    params.port = 0
    params.api_keys = [config.key]
    params.ui = False
    params.endpoint_slots = params.endpoint_metrics = True
    params.n_threads_http = config.parallel + SPARE_HTTP_THREADS
    params.n_parallel = config.parallel
    params.n_ctx = config.context * config.parallel
    params.ctx_shift = False
    params.cont_batching = params.cache_prompt = params.warmup = True
    params.slot_prompt_similarity = config.similarity
    if config.saves is not None:
        params.slot_save_path = f"{config.saves}{os.sep}"
    params.cache_ram_mib = prompt_cache_mib(config.sharing)
    params.verbosity = LOAD_LOG
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
    if config.gpu_layers is not None:
        params.n_gpu_layers = GPU_LAYERS.get(config.gpu_layers) or int(config.gpu_layers)
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    on_gpu = any(device["type"] != cpu for device in xllamacpp.get_device_info())
    if not on_gpu:
        params.n_batch = params.n_ubatch = CPU_BATCH if config.projector is None else LEAST_IMAGE_BATCH
    _speculate(params.speculative, config.speculation.chosen(on_gpu=on_gpu), xllamacpp, on_gpu=on_gpu)
    return xllamacpp.Server(params), on_gpu


def _speculate(params: Any, speculation: Speculation, library: Any, *, on_gpu: bool) -> None:
    types = library.common_speculative_type
    if speculation.way is Way.NGRAM:
        params.types = [types.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        params.ngram_simple.size_n, params.ngram_simple.size_m = KEY, longest_draft(on_gpu=on_gpu)
    elif speculation.way is Way.MODEL:
        params.types = [types.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        params.draft.mparams.path = speculation.draft


def prompt_cache_mib(models: int) -> int:
    """The memory for prompts outside the slots of one of `models`: all of them get at most a quarter of the machine's."""
    if not hasattr(os, "sysconf"):
        return LARGEST_PROMPT_CACHE_MIB // models
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(LARGEST_PROMPT_CACHE_MIB, memory // 4 >> 20) // models


if __name__ == "__main__":
    main()
