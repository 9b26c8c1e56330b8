"""Runs a program in the foreground of the terminal until it ends, and forwards signals to it."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SIGNALS = [signal.SIGINT, *_ENDS]


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it and return its exit status. Signals are forwarded, but for SIGINT, which the terminal sends to both."""
    with subprocess.Popen(command, env=environment) as process:  # noqa: S603 -- what the user asked for

        def forward(number: int, _: FrameType | None) -> None:
            if number != signal.SIGINT:
                process.send_signal(number)

        with _signals(_SIGNALS, forward):
            status = process.wait()
    return status if status >= 0 else 128 - status


def exits_in_order() -> AbstractContextManager[None]:
    """Within the block, a signal to end exits through the context managers, so that a started server is terminated."""
    return _signals(_ENDS, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _signals(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
