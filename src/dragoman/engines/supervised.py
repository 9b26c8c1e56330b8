"""An engine in a supervised child process, so that a crash causes a restart and not an outage.

    start ──▶ loading ──▶ ready ───────────▶ closed
                           │ ▲                 ▲
            the child died ▼ │                 │ close
                         restarting ───────────┘

One task, the supervisor, waits for the child to die and starts the next. A child that no longer responds (see `liveness`) is
killed first. Before each attempt there is a pause: it doubles from 0.5 s to 30 s while children do not start, or die before
they generate anything, and is reset by one that generated something or ran for a few seconds. Requests in flight fail; requests
that arrive meanwhile wait, at most for the engine's `max_wait`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from dragoman.child_process import start_process
from dragoman.constraints.tree import Constraint
from dragoman.conversation import Image
from dragoman.engines.base import Capabilities, Engine, EngineRequest, OutputChunk
from dragoman.engines.exit_status import exit_text, missing_library
from dragoman.engines.liveness import DEFAULT_PROBE_TIMES, Liveness, ProbeTimes
from dragoman.errors import EngineError, EngineUnavailable
from dragoman.parts import LogProb

NAME: Final = "the engine"
LOST: Final = "the engine stopped during the request; it is being restarted"

_ATTEMPTS: Final = 2
T = TypeVar("T")
"""How many children a request is tried on: a request that crashes the engine must not crash every child."""
_GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_KEPT_LOG_LINES: Final = 50
_NOT_BACK: Final = "the engine is being restarted"

_log = logging.getLogger(__name__)


class RestartTimes(Struct, frozen=True):
    """The pauses before a restart, in seconds. A child that ran for `steady` seconds resets them."""

    first_pause: float = 0.5
    longest_pause: float = 30.0
    steady: float = 5.0


DEFAULT_RESTART_TIMES: Final = RestartTimes()
COMPUTE_PROBE_TIMES: Final = ProbeTimes(interval=60.0, timeout=300.0, misses=2)
"""When the computing part of an engine counts as lost: a large model on a slow machine may take minutes for one step."""


class EngineStatus(StrEnum):
    """The state of the engine."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    CLOSED = "closed"


class Child(ABC):
    """A supervised child process: the engine in it, its last log lines, its termination."""

    engine: Engine

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.exit = asyncio.create_task(process.wait(), name="engine exit")
        self._ended = asyncio.Event()
        self._log_lines: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        self._log_reader = asyncio.create_task(self._read_log(), name="engine log")

    @abstractmethod
    async def start_engine(self) -> Capabilities:
        """Set `engine`, and start it. Raises `EngineFailed` with the reason where it cannot start."""

    @abstractmethod
    async def probe(self) -> None:
        """Probe the engine at no cost to its requests. Raises `EngineError`."""

    async def probe_compute(self) -> None:  # noqa: B027 -- most engines have no such request
        """Probe the part of the engine that computes, which replies between two steps. Does nothing by default.

        Raises `EngineError`.
        """

    async def wait_until_ended(self, deadline: float) -> None:
        """Wait until a child that does not respond has ended. Raises `EngineUnavailable` at the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
        except TimeoutError:
            raise EngineUnavailable(f"{NAME} does not respond") from None

    async def end(self) -> None:
        """End the process, and those that it started. Idempotent."""
        self._ended.set()
        if hasattr(self, "engine"):
            await self.engine.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if not self.exit.done():
            self._terminate()
            await asyncio.wait({self.exit}, timeout=_GRACE)
        self._terminate(at_once=True)
        await asyncio.wait({self.exit, self._log_reader})

    def kill(self) -> None:
        """Kill the process at once, even if it is suspended."""
        self._terminate(at_once=True)

    def exit_summary(self) -> str:
        """How the process ended, its last log line, and what to install if that names a missing library."""
        last = self._log_lines[-1] if self._log_lines else "none"
        return f"{exit_text(self.process.returncode)}, last log line: {last}{missing_library(last)}"

    def _terminate(self, *, at_once: bool = False) -> None:
        """Signal the child and the processes that it started: where there are process groups, it leads one."""
        with contextlib.suppress(ProcessLookupError):
            if sys.platform != "win32":
                os.killpg(self.process.pid, signal.SIGKILL if at_once else signal.SIGTERM)
            elif not self.exit.done():
                self.process.kill()

    async def _read_log(self) -> None:
        """Read the child's log until it ends: a full pipe would block it."""
        output = self.process.stderr or self.process.stdout
        assert output is not None
        rest = b""
        while data := await output.read(1 << 16):
            *lines, rest = (rest[-(1 << 16) :] + data).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").strip()
                if text:
                    self._log_lines.append(text)
                    self.read_log_line(text)
                    _log.debug("%s", text)

    def read_log_line(self, line: str) -> None:  # noqa: B027 -- most engines report elsewhere
        """Take from a line of the log what the engine reports only there. Does nothing by default."""


class Supervised(Engine):
    """An engine in a child process that is restarted. `max_wait` is how many seconds requests wait for the next child."""

    def __init__(
        self,
        *,
        max_wait: float,
        probes: ProbeTimes = DEFAULT_PROBE_TIMES,
        compute_probes: ProbeTimes = COMPUTE_PROBE_TIMES,
        restart: RestartTimes = DEFAULT_RESTART_TIMES,
    ) -> None:
        self._max_wait = max_wait
        self._probes = probes
        self._compute_probes = compute_probes
        self._restart = restart
        self._worked = False  # this child generated something
        self._status = EngineStatus.LOADING
        self.restarts = 0
        self._child: Child | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # ready, or closed for good

    @abstractmethod
    async def spawn(self) -> Child:
        """Start the process of the next child. Raises `OSError`."""

    @property
    def status(self) -> str:
        """The state of the engine; while it is ready, the status of the engine in the child."""
        if self._status is EngineStatus.READY and self._child is not None:
            return self._child.engine.status
        return self._status

    @property
    def vocabulary(self) -> int | None:
        """The vocabulary size of the engine in the child, None while there is no child."""
        return self._child.engine.vocabulary if self._child is not None else None

    @property
    def conversations(self) -> int | None:
        """Those of the engine in the child, None while there is no child."""
        return self._child.engine.conversations if self._child is not None else None

    @property
    def pid(self) -> int | None:
        """The child's process id, None while no child is ready."""
        return self._child.process.pid if self._child is not None and self._status is EngineStatus.READY else None

    async def start(self) -> Capabilities:
        """Start the first child. Raises `EngineFailed` with the engine's own reason where it does not start."""
        try:
            capabilities = await self._start_child()
        except BaseException:
            await self.close()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")
        return capabilities

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run the request on the child that is ready, or on the next one."""
        deadline = asyncio.get_running_loop().time() + self._max_wait
        for _ in range(_ATTEMPTS):
            child = await self._ready_child(deadline)
            try:
                async with aclosing(child.engine.generate(request)) as chunks:
                    async for chunk in chunks:
                        self._record(chunk)
                        yield chunk
                return
            except EngineUnavailable:  # the child died before it began
                await child.wait_until_ended(deadline)
        raise EngineUnavailable(_NOT_BACK)

    async def prepare(self, constraint: Constraint) -> None:
        """Compile the constraint in the child that is ready, or in the next one."""
        deadline = asyncio.get_running_loop().time() + self._max_wait
        await (await self._ready_child(deadline)).engine.prepare(constraint)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Tokenize with the child that is ready, or with the next one."""
        return await self._ask(lambda engine: engine.tokenize(text, special=special))

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Ask the child that is ready, or the next one."""
        return await self._ask(lambda engine: engine.detokenize(tokens))

    async def score(self, tokens: Sequence[int], top: int) -> Sequence[LogProb]:
        """Ask the child that is ready, or the next one."""
        return await self._ask(lambda engine: engine.score(tokens, top))

    async def image_length(self, image: Image) -> int:
        """Ask the child that is ready, or the next one."""
        return await self._ask(lambda engine: engine.image_length(image))

    async def _ask(self, question: Callable[[Engine], Awaitable[T]]) -> T:
        """The answer of the child that is ready, or of the next one."""
        deadline = asyncio.get_running_loop().time() + self._max_wait
        for _ in range(_ATTEMPTS):
            child = await self._ready_child(deadline)
            try:
                return await question(child.engine)
            except EngineUnavailable:
                await child.wait_until_ended(deadline)
        raise EngineUnavailable(_NOT_BACK)

    async def close(self) -> None:
        """End the child; waiting requests raise `EngineUnavailable`."""
        if self._status is EngineStatus.CLOSED:
            return
        self._status = EngineStatus.CLOSED
        self._settled.set()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
        if self._child is not None:
            await self._child.end()

    async def _ready_child(self, deadline: float) -> Child:
        try:
            async with asyncio.timeout_at(deadline):
                await self._settled.wait()
        except TimeoutError:
            raise EngineUnavailable(_NOT_BACK) from None
        if self._child is None or self._status is EngineStatus.CLOSED:
            raise EngineUnavailable(f"{NAME} is closed")
        return self._child

    async def _start_child(self) -> Capabilities:
        child = await self.spawn()
        try:
            capabilities = await child.start_engine()
        except BaseException:
            await child.end()
            raise
        self._child, self._status, self._worked = child, EngineStatus.READY, False
        self._livenesses = [Liveness(child.probe, self._probes), Liveness(child.probe_compute, self._compute_probes)]
        self._settled.set()
        return capabilities

    def _record(self, chunk: OutputChunk) -> None:
        """Record that output arrived; generated tokens also prove that the child works."""
        for liveness in self._livenesses:
            liveness.record_output()
        self._worked = self._worked or chunk.output > 0

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = self._restart.first_pause
        while self._child is not None:
            up = clock()
            reason = await self._wait_for_failure(self._child)
            self._status = EngineStatus.RESTARTING
            self._settled.clear()
            _log.warning("%s %s and is being restarted", NAME, reason)
            await self._child.end()
            if self._worked or clock() - up >= self._restart.steady:
                pause = self._restart.first_pause
            while self._status is EngineStatus.RESTARTING:
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._restart.longest_pause)
                try:
                    await self._start_child()
                except (EngineError, OSError) as error:
                    _log.warning("%s did not restart: %s", NAME, error)
            self.restarts += 1

    async def _wait_for_failure(self, child: Child) -> str:
        """Wait until the child has died, or is lost and killed. Return what happened, for the log."""
        lost = [asyncio.create_task(liveness.until_lost(), name="engine liveness") for liveness in self._livenesses]
        try:
            await asyncio.wait({child.exit, *lost}, return_when=asyncio.FIRST_COMPLETED)
            if child.exit.done():
                return f"died ({child.exit_summary()})"
            child.kill()
            return f"does not respond (it missed {max(liveness.missed for liveness in self._livenesses)} probes)"
        finally:
            for task in lost:
                task.cancel()
            await asyncio.wait(lost)


async def spawn(*command: str, merge_stderr: bool = False, env: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start a process with pipes for its standard streams.

    It leads a process group, so that Ctrl-C in a terminal reaches only the parent, which then ends the child in order.
    With `merge_stderr`, standard error goes to standard output. `env` is its environment, by default that of this process.
    """
    pipe = asyncio.subprocess.PIPE
    output = asyncio.subprocess.STDOUT if merge_stderr else pipe
    return await start_process(*command, stdin=pipe, stdout=pipe, stderr=output, env=env, start_new_session=True)
