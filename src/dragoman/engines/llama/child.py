"""The process in which llama.cpp runs: `python -m dragoman.engines.llama.child`.

It reads one line of JSON from its standard input (`ChildConfig`), loads the model, prints one line of JSON (`Listening`) and
then serves until its standard input ends. That happens when the parent closes it and when the parent dies, however it dies:
the kernel closes the pipe. What llama.cpp says goes to standard error. A model that does not load is exit status 1.
"""

import os
import sys
from typing import Any

import msgspec
from msgspec import Struct

CPU_BATCH = 256
"""Prompt tokens per step without a GPU. Who cancels waits for a step, and so do the other slots: on two cores with a 135M model
1.5 s at worst with 256, 2.9 s with 512, 8 s with llama.cpp's 2,048, all at the same speed; 128 costs a tenth of it."""

SPARE_HTTP_THREADS = 512
"""The server holds a thread per open connection, also for jobs that wait for a slot; all of these idle cost 4 MB together."""

LARGEST_PROMPT_CACHE_MIB = 8_192
"""llama.cpp's own bound on prompts kept in memory outside the slots. Here it is a quarter of the machine's memory, too."""

SPIN_COUNT = "10000"
"""How often a thread of llama.cpp (its CPU build uses libgomp) looks for the others before it sleeps. The default is 300,000:
one more busy process on two cores, and decoding falls from 110 tokens per second to fewer than 10; with 1,000 to 20 or 30.
10,000 decodes as fast as 1,000, and in one run each lost less to a gateway that wakes for every token (0.92 of its speed with
1,000, all of it with 10,000; single pairs differ by a tenth)."""


class ChildConfig(Struct, frozen=True):
    """`host` is a path (a unix socket) or an address (a free port is taken). `context` is in tokens per slot.

    `similarity` is the share of a prompt that a slot must hold for the server to choose it for that; with 0 it never does.
    """

    model: str
    name: str
    host: str
    key: str
    context: int
    parallel: int
    threads: int
    similarity: float = 0.0


class Listening(Struct, frozen=True):
    """The model is loaded; `address` is `unix://…` or `http://…`."""

    address: str


def main() -> None:
    """Serve until standard input ends."""
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildConfig)
    _die_with_parent()
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever llama.cpp may print, the one line on standard output is ours
    try:
        server = _serve(config)
    except RuntimeError:  # the reason is in the log above it
        sys.exit(1)
    os.write(answer, msgspec.json.encode(Listening(server.listening_address)) + b"\n")
    sys.stdin.buffer.read()
    os._exit(0)  # no farewells: there is nothing to save, and open streams could hold them up


def _die_with_parent() -> None:
    """Have the kernel send SIGIO, whose default is the end, when the other end of standard input is gone.

    Reading until the end would do, but llama.cpp keeps the interpreter locked while it loads, for minutes with a large model.
    """
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415  # does not exist everywhere

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(config: ChildConfig) -> Any:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read once, when the library is loaded
    import xllamacpp  # noqa: PLC0415  # the parent, which imports `ChildConfig`, has no use for it

    params = xllamacpp.CommonParams()
    params.model.path = config.model
    params.model_alias = {config.name}
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
    params.cache_ram_mib = _prompt_cache_mib()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    if all(device["type"] == cpu for device in xllamacpp.get_device_info()):
        params.n_batch = params.n_ubatch = CPU_BATCH
    return xllamacpp.Server(params)


def _prompt_cache_mib() -> int:
    if not hasattr(os, "sysconf"):
        return LARGEST_PROMPT_CACHE_MIB
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(LARGEST_PROMPT_CACHE_MIB, memory // 4 >> 20)


if __name__ == "__main__":
    main()
