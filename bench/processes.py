"""Starts and stops the measured processes, and reads their CPU time and memory."""

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
"""llama.cpp's default of `--slot-prompt-similarity`."""


def _pinned(cores: frozenset[int]) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, cores)


@contextmanager
def dragoman(*arguments: str, cores: frozenset[int] = ALL_CORES, module: str = "dragoman") -> Iterator[tuple[str, int]]:
    """Run `dragoman serve …` on a free port; yields its URL and its process id once the model is loaded.

    Unless they name a folder for it, conversations are not saved: one of an earlier run would make a prompt cheaper.
    """
    saves = () if "--cache-dir" in arguments else ("--cache-limit", "0")
    command = [sys.executable, "-m", module, "serve", "--port", "0", "--log-level", "warning", *saves, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_pinned(cores)) as server:  # noqa: PLW1509 -- no threads yet
        assert server.stdout is not None
        try:
            yield next(match[1] for line in server.stdout if (match := re.search(r" at (http://\S+)", line))), server.pid
        finally:
            server.terminate()


@contextmanager
def scripted(lines: Sequence[dict[str, object]], cores: frozenset[int] = ALL_CORES) -> Iterator[tuple[str, int]]:
    """Run Dragoman over the scripted engine; yields its URL and its process id."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as script:
        script.write("\n".join(json.dumps(line) for line in lines))
        script.flush()
        with dragoman("--engine", "scripted", "--script", script.name, cores=cores) as server:
            yield server


@contextmanager
def llama_server(
    slots: int, context: int, host: str | None = None, *, weights: Path | None = None, projector: Path | None = None
) -> Iterator[str]:
    """Run the embedded engine's binary with its own choice of slots; yields its address.

    The address is a unix socket, or a free port of `host`. The key is `KEY`. Without `weights` it has the default model.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = resolve(str(weights) if weights else None, str(projector) if projector else None)
        sees = str(model.projector) if model.projector else None
        host = host or f"{folder}/engine.sock"
        config = ChildConfig(
            str(model.path), model.id, host, KEY, context, slots, len(ALL_CORES), OWN_SIMILARITY, projector=sees
        )
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
def fake_upstream(chunks: int, cores: frozenset[int], step_ms: float = 0.0) -> Iterator[str]:
    """Run a fake llama-server that answers every completion with `chunks` chunks, at once or in steps; yields its URL."""
    with _printing_its_url("bench.upstream", str(chunks), str(step_ms), cores=cores) as url:
        yield url


@contextmanager
def relay(url: str) -> Iterator[str]:
    """Run a relay of bytes to a server at `unix:///path`; yields its URL."""
    with _printing_its_url("bench.relay", url.removeprefix("unix://"), cores=ALL_CORES) as relayed:
        yield relayed


@contextmanager
def _printing_its_url(module: str, *arguments: str, cores: frozenset[int]) -> Iterator[str]:
    command = [sys.executable, "-m", module, *arguments]
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
    """Run another server on a free port; yields its URL and its process id once it answers at `path`, `within` these seconds.

    Its child processes are killed with it. Raises `RuntimeError` if it does not start; its log file is kept.
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
            raise RuntimeError(f"the server ended; see {log}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise RuntimeError(f"the server did not answer within {within} s; see {log}")


def children(pid: int) -> list[int]:
    """The ids of a process's child processes."""
    return [int(child) for thread in Path(f"/proc/{pid}/task").iterdir() for child in (thread / "children").read_text().split()]


def descendants(pid: int) -> list[int]:
    """The ids of the processes below a process."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far, in all its threads."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock id of clock_getcpuclockid(3), which Python does not have


def resident_megabytes(pid: int) -> float:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_files(pid: int) -> int:
    """The number of file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def reset_peak(pid: int) -> None:
    """Reset the peak of a process's memory to its current value (proc(5), `clear_refs`)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_megabytes(pid: int) -> float:
    """The peak of a process's memory since its start or since `reset_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def seconds_to_listen() -> float:
    """Seconds from `exec` to the banner, without a model."""
    began = time.perf_counter()
    with scripted([{"output": "x"}]):
        return time.perf_counter() - began


def nonce() -> str:
    """A random string, which no cache has."""
    return secrets.token_hex(8)
