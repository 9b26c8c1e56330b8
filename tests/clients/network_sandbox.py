"""A network namespace in which clients reach the server and nothing else.

`network_sandbox` starts this file as a program in its own user and network namespace. There it brings the loopback interface
up, opens the server's listening socket, passes it out and waits. The server accepts its connections outside; clients are
started inside. If namespaces are not permitted, the sandbox is an ordinary loopback socket, and the clients' own settings must
prevent other connections.
"""

import fcntl
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


@dataclass(frozen=True, slots=True)
class NetworkSandbox:
    """A sandbox: `listener` is its server socket, and a command that begins with `command_prefix` runs inside.

    `isolated` is true if there is no other network inside.
    """

    listener: socket.socket
    command_prefix: Sequence[str] = ()

    @property
    def isolated(self) -> bool:
        return bool(self.command_prefix)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"


@contextmanager
def network_sandbox() -> Iterator[NetworkSandbox]:
    """Open a sandbox until the end of the block."""
    ours, theirs = socket.socketpair()
    unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
    with ours, theirs:
        if not (unshare and nsenter and _permitted(unshare)):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                yield NetworkSandbox(listener)
            return
        command = [unshare, "--user", "--map-root-user", "--net", sys.executable, __file__, str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
            theirs.close()
            try:
                _, [descriptor], _, _ = socket.recv_fds(ours, 1, 1)
                with socket.socket(fileno=descriptor) as listener:
                    yield NetworkSandbox(listener, [nsenter, f"--target={child.pid}", "--user", "--net"])
            finally:
                ours.close()  # the child exits


def _permitted(unshare: str) -> bool:
    command = [unshare, "--user", "--map-root-user", "--net", "true"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _inside(control: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.send_fds(control, [b"!"], [listener.fileno()])
        control.recv(1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as outside:
        _inside(outside)
