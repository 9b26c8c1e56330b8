"""The pool of worker processes, in the parent process."""

import asyncio
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from dragoman.child_process import end_process, start_process
from dragoman.errors import Overloaded
from dragoman.worker_pool.worker import COUNTS_CPU, INTEGER, Job, Message, Outcome, SetUp, TooExpensive, decoded, message

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

WORKERS: Final = 2
"""The most worker processes."""
SECONDS: Final = 8.0
"""CPU time limit of a job, so that a response comes within ten seconds unless the machine is busy."""
PATIENCE: Final = 8.0
"""Seconds that a job waits for a worker."""
MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space that a job may add to what a fresh worker has."""
IDLE_SECONDS: Final = 60.0
"""A worker that was idle for this long is ended."""
_BUSY: Final = 5 if COUNTS_CPU else 1
"""How many times its limit of CPU time a job may take on a machine that is busy with other things."""
_JOBS_PER_WORKER: Final = 1000
"""A worker is replaced after this many jobs, so that leaks of libraries do not accumulate."""
_PRELOAD: Final = ("dragoman.dialects", "dragoman.engines", "dragoman.prompt")
_COMMAND: Final = (sys.executable, "-P", "-c", "from dragoman.worker_pool.worker import main; main()")
_START_SECONDS: Final = 60.0
"""Time limit of a worker's start, and of its reading of a job: both import modules, which takes long on a busy machine."""
_EXIT_SECONDS: Final = 1.0
"""Seconds until the exit status of a process that has closed its pipes is not waited for any more."""
_AT_ONCE: Final = 256 * 1024
"""Bytes that are written to a worker or read from it at once."""
_LARGE: Final = 64 * 1024
"""Bytes above which an argument is passed without copying it."""


class WorkerPool:
    """Runs functions in worker processes, which start when they are needed.

    Functions, arguments and results are pickled, in a thread, so that other tasks run between their objects; large bytes are
    passed without copying them, and a function gets them as `bytes`. `seconds` is the limit of a job's CPU time once a worker
    has read it, `patience` the most seconds it waits for one, `memory` its limit in bytes. A worker that was idle for
    `idle_seconds` is ended.
    """

    def __init__(  # noqa: PLR0913 -- the limits of a pool
        self,
        *,
        workers: int = WORKERS,
        seconds: float = SECONDS,
        patience: float = PATIENCE,
        memory: int = MEMORY,
        preload: Sequence[str] = _PRELOAD,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._most = workers
        self._seconds = seconds
        self._patience = patience
        self._set_up = SetUp(preload, memory, seconds)
        self._idle_seconds = idle_seconds
        self._workers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Workers] = WeakKeyDictionary()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a module-level function and return its result. Cancelling kills the worker that runs it.

        Raises `TooExpensive`, `Overloaded` if no worker becomes free or starts in time or the machine is too busy for the job,
        and what the function raises.
        """
        job = await asyncio.to_thread(job_message, function, args, kwargs)
        workers = self._of_this_loop()
        try:
            async with asyncio.timeout(self._patience):
                await workers.free.acquire()
        except TimeoutError:
            raise Overloaded("too many large requests are being prepared") from None
        try:
            worker = await workers.take()
            try:
                outcome = await worker.work(job, self._seconds)
            finally:
                workers.give_back(worker)
        finally:
            workers.free.release()
        if outcome.error is not None:
            raise outcome.error
        result: T = outcome.result
        return result

    def warm(self) -> None:
        """Start a worker before the first job."""
        self._of_this_loop().start_spare()

    async def close(self) -> None:
        """End the idle workers of this event loop; busy ones end after their jobs."""
        workers = self._workers.pop(asyncio.get_running_loop(), None)
        if workers is not None:
            await workers.close()

    def _of_this_loop(self) -> "_Workers":
        """Return the workers of this event loop, since pipes belong to the loop that made them."""
        loop = asyncio.get_running_loop()
        if loop not in self._workers:
            self._workers[loop] = _Workers(loop, self._most, self._set_up, self._idle_seconds)
        return self._workers[loop]


class _Workers:
    """The workers of one event loop. `free` counts those that a job may still take or start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, workers: int, set_up: SetUp, idle_seconds: float) -> None:
        self.loop = loop
        self._idle_seconds = idle_seconds
        self.free = asyncio.Semaphore(workers)
        self._set_up = set_up
        self._idle: list[_Worker] = []
        self._starting: asyncio.Task[None] | None = None

    async def take(self) -> "_Worker":
        """Return a worker for one job. Raises `Overloaded` if none starts: the machine is busy, or has no memory left."""
        if not self._idle and self._starting is not None:
            await asyncio.wait({self._starting})
        if not self._idle:
            try:
                return await _Worker.start(self._set_up)
            except (EOFError, OSError) as error:
                _log.warning("a worker process does not start: %r", error)
                raise Overloaded("no process that could prepare this request starts") from None
        worker = self._idle.pop()
        worker.expiry.cancel()
        return worker

    def give_back(self, worker: "_Worker") -> None:
        """Keep the worker for the next job for a while, or start a spare one if it has ended."""
        if worker.serves:
            self._keep(worker)
        else:
            worker.kill()
            self.start_spare()

    def start_spare(self) -> None:
        """Start a worker, so that the next job does not wait for one."""
        if not self._idle and self._starting is None:
            self._starting = self.loop.create_task(self._start_spare())

    async def close(self) -> None:
        """End the idle workers."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        for worker in self._idle:
            worker.expiry.cancel()
            await worker.end()
        self._idle.clear()

    async def _start_spare(self) -> None:
        try:
            self._keep(await _Worker.start(self._set_up))
        except (EOFError, OSError) as error:
            _log.warning("a worker process does not start: %r", error)
        finally:
            self._starting = None

    def _keep(self, worker: "_Worker") -> None:
        self._idle.append(worker)
        worker.expiry = self.loop.call_later(self._idle_seconds, self._expire, worker)

    def _expire(self, worker: "_Worker") -> None:
        self._idle.remove(worker)
        worker.kill()


class _Worker:
    """One worker process and its pipes. `expiry` ends it if it stays idle."""

    expiry: asyncio.TimerHandle

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._jobs = 0
        self._ended = False

    @classmethod
    async def start(cls, set_up: SetUp) -> "_Worker":
        """Start a process, and wait until it is ready. Raises `OSError`, and `EOFError` if it ends instead."""
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        streams = {"stdin": pipe, "stdout": pipe, "stderr": subprocess.DEVNULL, "limit": _AT_ONCE}
        process = await start_process(*_COMMAND, env=environment, **streams)
        worker = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker._exchange(message(set_up))
        except BaseException:
            worker.kill()
            raise
        return worker

    @property
    def serves(self) -> bool:
        """Whether the worker can run another job."""
        return self._process.returncode is None and not self._ended and self._jobs < _JOBS_PER_WORKER

    async def work(self, job: Message, seconds: float) -> Outcome:
        """Run a job. The process ends if the job exceeds its limit of CPU time, takes far longer, crashes or is cancelled."""
        self._jobs += 1
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._exchange(job)
            async with asyncio.timeout(_BUSY * seconds):
                return await self._reply()
        except TimeoutError:
            self.kill()
            return Outcome(
                error=Overloaded("the machine is too busy to prepare this request") if COUNTS_CPU else _late(seconds)
            )
        except (EOFError, OSError):
            late = COUNTS_CPU and await self._exit_status() == -signal.SIGPROF
            self.kill()
            return Outcome(error=_late(seconds) if late else TooExpensive("crashed its worker process"))
        except BaseException:
            self.kill()
            raise

    async def end(self) -> None:
        """Kill the process, and wait until it has ended."""
        self._ended = True
        await end_process(self._process)

    def kill(self) -> None:
        """Kill the process; the event loop collects it."""
        self._ended = True
        with suppress(ProcessLookupError):
            self._process.kill()
        self._stdin.close()

    async def _exit_status(self) -> int | None:
        """Wait for the end of a process that has closed its pipes; None if it does not come."""
        self._ended = True  # also if the wait is cancelled
        with suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_SECONDS):
                return await self._process.wait()
        return None

    async def _exchange(self, data: Message) -> Outcome:
        """Send a message and wait for the reply. Raises `OSError`, and `EOFError` if the process ends instead."""
        for part in data:
            for start in range(0, len(part), _AT_ONCE):
                self._stdin.write(part[start : start + _AT_ONCE])
                await self._stdin.drain()
        return await self._reply()

    async def _reply(self) -> Outcome:
        lengths = [await self._integer() for _ in range(await self._integer())]
        parts = [await self._pieces(length) for length in lengths]
        outcome: Outcome = await asyncio.to_thread(lambda: decoded(list(map(b"".join, parts))))
        return outcome

    async def _integer(self) -> int:
        number: int = INTEGER.unpack(b"".join(await self._pieces(INTEGER.size)))[0]
        return number

    async def _pieces(self, length: int) -> list[bytes]:
        """Read so many bytes. Raises `EOFError`. To join a large part takes tens of milliseconds."""
        assert self._process.stdout is not None
        pieces: list[bytes] = []
        while length > 0:
            pieces.append(await self._process.stdout.read(min(length, _AT_ONCE)))
            if not pieces[-1]:
                raise EOFError
            length -= len(pieces[-1])
        return pieces

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin


def _late(seconds: float) -> TooExpensive:
    return TooExpensive(f"takes more than {seconds:g} seconds")


def job_message(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Message:
    """Encode a job. Large bytes among its positional arguments are buffers outside its pickle. Raises what pickling raises."""
    large = [isinstance(value, bytes) and len(value) > _LARGE for value in args]
    args = [pickle.PickleBuffer(value) if apart else value for value, apart in zip(args, large, strict=True)]
    return message(Job(function, args, kwargs))


POOL: Final = WorkerPool()
"""The workers of this process."""
