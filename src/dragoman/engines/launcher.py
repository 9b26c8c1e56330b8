"""Runs a program as a child that ends with its parent: `python -m dragoman.engines.launcher COMMAND…`.

The program and all processes that it starts form a process group with this launcher, which only waits. When standard input
ends, the group is killed. That happens when the parent closes it and when the parent dies for any reason: the kernel closes the
pipe. So a program needs to know nothing of its parent, and none of its processes remains where only the first one dies.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from dragoman.engines.exit_status import FROM_SIGNAL

LOOPBACK = "127.0.0.1"


_PRIVATE = "--private"


def launched(command: Sequence[str], *, private: bool = False) -> list[str]:
    """The command that runs `command` under a launcher. If `private`, only this user may read the files that it makes."""
    return [sys.executable, "-P", "-m", "dragoman.engines.launcher", *([_PRIVATE] if private else []), *command]


def free_port() -> int:
    """A port of this machine that no other process listens on at this moment."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port: int = free.getsockname()[1]
        return port


def main() -> None:
    """Run the command and exit with its status, or with `FROM_SIGNAL` and the number of the signal that ended it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the whole group gets it, and the command decides when to exit
    arguments = sys.argv[1:]
    if arguments[0] == _PRIVATE:
        os.umask(0o077)
        del arguments[0]
    command = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)  # noqa: S603 -- what the user asked for
    threading.Thread(target=_kill_at_end_of_input, daemon=True).start()
    status = command.wait()
    sys.exit(status if status >= 0 else FROM_SIGNAL - status)


def _kill_at_end_of_input() -> None:
    while os.read(0, 1 << 10):  # not by `sys.stdin`, whose lock would be held when the interpreter ends
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
