"""How a process ended, in words."""

import re
import signal
from typing import Final

FROM_SIGNAL: Final = 128
"""What a shell, and our launcher, adds to the number of the signal that ended their program, for their own exit status."""

_CAUSES: Final = {
    "SIGILL": "it was built for processors with instructions that this one lacks",
    "SIGKILL": "often because the memory was exhausted",
}

_LIBRARY: Final = re.compile(r"(lib[^\s:]+\.so[.\d]*): cannot open shared object file")
_PACKAGES: Final = {"libgomp.so.1": "libgomp1 of Debian and Ubuntu, libgomp of Fedora and Alpine"}


def missing_library(line: str) -> str:
    """What to install if a line of a log names a missing library of the system, as in small container images; else ""."""
    found = _LIBRARY.search(line)
    if found is None:
        return ""
    return f"; this system lacks {found[1]}" + (f": it is in {_PACKAGES[found[1]]}" if found[1] in _PACKAGES else "")


def exit_text(status: int | None) -> str:
    """The exit status, or the signal with what it usually means; below 0 is a signal, as `subprocess` reports it."""
    if status is None:
        return "it has not ended"
    try:
        name = signal.Signals(-status if status < 0 else status - FROM_SIGNAL).name
    except ValueError:
        return f"exit status {status}"
    return f"ended by {name}" + (f": {_CAUSES[name]}" if name in _CAUSES else "")
