"""What is measured, started and stopped."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dragoman.engines.llama.child import ChildConfig, Listening
from dragoman.models.resolve import resolve

ALL_CORES = frozenset(os.sched_getaffinity(0))
SERVER_CORE = frozenset({min(ALL_CORES)})
OTHER_CORES = (ALL_CORES - SERVER_CORE) or ALL_CORES
KEY = "bench"
OWN_SIMILARITY = 0.1
"""What llama.cpp's `--slot-prompt-similarity` is where nobody sets it."""


def _pinned(cores: frozenset[int]) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, cores)


@contextmanager
def dragoman(*arguments: str, cores: frozenset[int] = ALL_CORES) -> Iterator[tuple[str, int]]:
    """`dragoman serve …` on a free port: its URL and its process id, once the model is loaded."""
    command = [sys.executable, "-m", "dragoman", "serve", "--port", "0", "--log-level", "warning", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_pinned(cores)) as server:  # noqa: PLW1509 -- no threads yet
        assert server.stdout is not None
        try:
            yield next(match[1] for line in server.stdout if (match := re.search(r" at (http://\S+)", line))), server.pid
        finally:
            server.terminate()


@contextmanager
def scripted(lines: Sequence[dict[str, object]], cores: frozenset[int] = ALL_CORES) -> Iterator[tuple[str, int]]:
    """Dragoman over the scripted engine."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as script:
        script.write("\n".join(json.dumps(line) for line in lines))
        script.flush()
        with dragoman("--engine", "scripted", "--script", script.name, cores=cores) as server:
            yield server


@contextmanager
def llama_server(slots: int, context: int, host: str | None = None) -> Iterator[str]:
    """The embedded engine's binary with the default model, as it is started there but for the choice of slots; its address.

    That is a unix socket, or a free port of `host`. The key is `KEY`.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = resolve(None)
        host = host or f"{folder}/engine.sock"
        config = ChildConfig(str(weights.path), weights.id, host, KEY, context, slots, len(ALL_CORES), OWN_SIMILARITY)
        command = [sys.executable, "-m", "dragoman.engines.llama.child"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **pipes) as child:  # type: ignore[call-overload]
            child.stdin.write(msgspec.json.encode(config) + b"\n")
            child.stdin.flush()
            try:
                yield msgspec.json.decode(child.stdout.readline(), type=Listening).address
            finally:
                child.kill()


@contextmanager
def endless_upstream(chunks: int, cores: frozenset[int]) -> Iterator[str]:
    """A stand-in llama-server that answers every completion with `chunks` pieces at once; its URL."""
    command = [sys.executable, "-m", "bench.upstream", str(chunks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_pinned(cores)) as server:  # noqa: PLW1509 -- no threads yet
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@contextmanager
def listening(
    command: Callable[[int], Sequence[str]],
    path: str,
    *,
    within: float = 600,
    cores: frozenset[int] = ALL_CORES,
    **environment: str,
) -> Iterator[tuple[str, int]]:
    """Somebody else's server on a free port: its URL and its process id, once it answers at `path`, `within` so many seconds.

    Whatever it started ends with it. Raises `RuntimeError` where it does not come up; its log stays.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w+b", suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            command(port),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **environment},
            preexec_fn=_pinned(cores),  # noqa: PLW1509 -- no threads yet
        )
        try:
            _until_up(process, f"http://127.0.0.1:{port}{path}", log.name, within)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_up(process: subprocess.Popen[bytes], url: str, log: str, within: float) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended by itself; {log} says why")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise RuntimeError(f"it did not answer within {within} s; {log} says why")


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(child) for thread in Path(f"/proc/{pid}/task").iterdir() for child in (thread / "children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has spent so far, in all its threads."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) names, which Python does not have


def resident_megabytes(pid: int) -> float:
    """Memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew at what it holds now (proc(5), `clear_refs`)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has held at once, in all its time or since `forget_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def seconds_to_listen() -> float:
    """From `exec` to the banner, with nothing to load."""
    began = time.perf_counter()
    with scripted([{"output": "x"}]):
        return time.perf_counter() - began


def nonce() -> str:
    """Words that no cache has seen."""
    return secrets.token_hex(8)
