"""The program of a worker process: it reads jobs from its standard input, and writes their results to its standard output.

A message is a big-endian length of eight bytes, and that many bytes of pickle. The first message to a worker is its set-up,
every other one a job; a worker replies to each with one message, and ends when its input ends. Large arguments of a job follow
its message as they are, each with its length before it, since pickling would copy them on the event loop.
"""

import importlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

LENGTH: Final = struct.Struct(">Q")
_LARGE: Final = 64 * 1024
"""Bytes of an argument that is not pickled."""
_NICE: Final = 5
"""The niceness of workers, so that the event loop gets the CPU first."""


class TooExpensive(Exception):
    """A job exceeded a limit of time, memory or depth, or crashed its worker. The message completes a sentence: `it …`."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """The set-up of a worker. `memory` is how many bytes of address space a job may add, on platforms that can limit it."""

    preload: Sequence[str]
    memory: int


@dataclass(frozen=True, slots=True)
class Job:
    """A call of a module-level function."""

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LargeArgument:
    """Stands in a job for an argument that follows its message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job, or the exception that it raised."""

    result: Any = None
    error: BaseException | None = None


def message(value: object) -> bytes:
    """Encode a message between the processes. Raises what pickling raises."""
    packed = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(packed)) + packed


def job_messages(job: Job) -> Sequence[bytes]:
    """Encode a job as the blocks that are sent one after another. Raises what pickling raises."""
    large = [argument for argument in job.args if _is_large(argument)]
    args = [LargeArgument() if _is_large(argument) else argument for argument in job.args]
    blocks = [message(replace(job, args=args))]
    for argument in large:
        blocks += [LENGTH.pack(len(argument)), argument]
    return blocks


def _is_large(argument: object) -> bool:
    return isinstance(argument, bytes) and len(argument) > _LARGE


def main() -> None:
    """Run jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C in a terminal
    jobs, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that a library prints must not mix with the results
    set_up = _received(jobs)
    for name in set_up.preload:
        importlib.import_module(name)
    _limit(set_up.memory)
    _send(results, message(Outcome()))
    while True:
        try:
            job = _with_large_arguments(_received(jobs), jobs)
        except EOFError:
            return
        _send(results, _message(_outcome(job), set_up.memory))
        del job


def _send(results: BinaryIO, data: bytes) -> None:
    results.write(data)
    results.flush()


def _received(source: BinaryIO) -> Any:
    return pickle.loads(_block(source))  # noqa: S301 -- from the parent process


def _block(source: BinaryIO) -> bytes:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    return source.read(LENGTH.unpack(head)[0])


def _with_large_arguments(job: Job, source: BinaryIO) -> Job:
    args = [_block(source) if isinstance(argument, LargeArgument) else argument for argument in job.args]
    return replace(job, args=args)


def _outcome(job: Job) -> Outcome:
    try:
        return Outcome(job.function(*job.args, **job.kwargs))
    except RecursionError:
        return Outcome(error=TooExpensive("is nested too deeply"))
    except BaseException as error:
        return Outcome(error=error)


def _message(outcome: Outcome, memory: int) -> bytes:
    """Encode an outcome, without the traceback; one that cannot be pickled becomes an error that says so."""
    if isinstance(outcome.error, MemoryError):
        outcome = Outcome(error=TooExpensive(f"needs more than {memory >> 20} MB of memory"))
    try:
        return message(outcome)
    except MemoryError:
        return message(Outcome(error=TooExpensive(f"needs more than {memory >> 20} MB of memory")))
    except Exception as error:
        return message(Outcome(error=RuntimeError(f"the outcome of a job cannot be sent: {error}")))


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
