"""Tests the network sandbox in which clients run."""

import subprocess
import sys

import pytest

from .network_sandbox import network_sandbox

INTERFACES = "import socket; print(*(name for _, name in socket.if_nameindex()))"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"


@pytest.mark.slow
def test_a_client_in_the_sandbox_reaches_only_the_server() -> None:
    with network_sandbox() as sandbox:
        if not sandbox.isolated:
            pytest.skip("namespaces are not permitted here")
        inside = [*sandbox.command_prefix, sys.executable, "-c"]
        assert subprocess.run([*inside, INTERFACES], capture_output=True, text=True, check=True).stdout.split() == ["lo"]
        subprocess.run([*inside, CONNECT, sandbox.url.rpartition(":")[2]], check=True)
        connection, _ = sandbox.listener.accept()
        connection.close()
