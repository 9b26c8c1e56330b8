"""The program of a worker process: it reads jobs from its standard input, and writes their results to its standard output.

A message is a pickle and the buffers outside it (PEP 574), so that a large body is not copied. It begins with the number of
these parts and the length of each, as big-endian integers of eight bytes. The first message to a worker is its set-up, every
other one a job. A worker replies with a message when it is set up or has read a job, so that the time for the modules that
these import is not that of the job, and with another one when a job is done. It ends when its input ends.
"""

import gc
import importlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

INTEGER: Final = struct.Struct(">Q")
_NICE: Final = 5
"""The niceness of workers, so that the event loop gets the CPU first."""


Message = Sequence[bytes | memoryview]
"""The bytes of a message: its head, the pickle, and the buffers."""


class TooExpensive(Exception):
    """A job exceeded a limit of time, memory or depth, or crashed its worker. The message completes a sentence: `it …`."""


COUNTS_CPU: Final = hasattr(signal, "setitimer")
"""Whether the CPU time of a job can be limited; on Windows it cannot."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """The set-up of a worker. `seconds` is the most CPU time of a job, and `memory` how many bytes of address space it may add.

    These are limits on platforms that have them. A job that exceeds `seconds` ends its worker by SIGPROF.
    """

    preload: Sequence[str]
    memory: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """A call of a module-level function."""

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job, or the exception that it raised."""

    result: Any = None
    error: BaseException | None = None


def message(value: object) -> Message:
    """Encode a message between the processes. Raises what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    packed = pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
    parts: list[bytes | memoryview] = [packed, *(buffer.raw() for buffer in buffers)]
    head = b"".join(INTEGER.pack(number) for number in (len(parts), *map(len, parts)))
    return [head, *parts]


def decoded(parts: Sequence[bytes]) -> Any:
    """Decode the parts of a message."""
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 -- from our own process


def main() -> None:
    """Run jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C in a terminal
    jobs, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that a library prints must not mix with the results
    set_up = _received(jobs)
    for name in set_up.preload:
        importlib.import_module(name)
    gc.freeze()  # the modules stay: the garbage collector need not scan them during jobs
    _limit(set_up.memory)
    _send(results, message(Outcome()))
    while True:
        try:
            job = _received(jobs)
        except EOFError:
            return
        _send(results, message(Outcome()))
        _limit_cpu(set_up.seconds)
        made = _message(_outcome(job), set_up.memory)
        _limit_cpu(0)
        _send(results, made)
        del job, made


def _send(results: BinaryIO, data: Message) -> None:
    results.writelines(data)
    results.flush()


def _received(source: BinaryIO) -> Any:
    """Read a message. Raises `EOFError` at the end of the input."""

    def integer() -> int:
        number: int = INTEGER.unpack(_exactly(source, INTEGER.size))[0]
        return number

    lengths = [integer() for _ in range(integer())]
    return decoded([_exactly(source, length) for length in lengths])


def _exactly(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _outcome(job: Job) -> Outcome:
    try:
        return Outcome(job.function(*job.args, **job.kwargs))
    except RecursionError:
        return Outcome(error=TooExpensive("is nested too deeply"))
    except BaseException as error:
        return Outcome(error=error)


def _message(outcome: Outcome, memory: int) -> Message:
    """Encode an outcome, without the traceback; one that cannot be pickled becomes an error that says so."""
    if isinstance(outcome.error, MemoryError):
        outcome = Outcome(error=TooExpensive(f"needs more than {memory >> 20} MB of memory"))
    try:
        return message(outcome)
    except MemoryError:
        return message(Outcome(error=TooExpensive(f"needs more than {memory >> 20} MB of memory")))
    except Exception as error:
        return message(Outcome(error=RuntimeError(f"the outcome of a job cannot be sent: {error}")))


def _limit_cpu(seconds: float) -> None:
    """End the process after so many seconds of CPU time, with 0 not at all."""
    if COUNTS_CPU:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit(memory: int) -> None:
    """Limit jobs to `memory` more bytes of address space, and disable core files."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 -- there is no such module on Windows

    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        own = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + memory, own + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
