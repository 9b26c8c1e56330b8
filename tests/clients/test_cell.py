"""The network in which clients run."""

import subprocess
import sys

import pytest

from .cell import cell

LOOK = "import socket; print(*(name for _, name in socket.if_nameindex()))"
KNOCK = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"


@pytest.mark.slow
def test_a_client_in_a_cell_sees_the_server_and_no_other_network() -> None:
    with cell() as ours:
        if not ours.sealed:
            pytest.skip("namespaces are not permitted here")
        inside = [*ours.entrance, sys.executable, "-c"]
        assert subprocess.run([*inside, LOOK], capture_output=True, text=True, check=True).stdout.split() == ["lo"]
        subprocess.run([*inside, KNOCK, ours.url.rpartition(":")[2]], check=True)
        connection, _ = ours.listener.accept()
        connection.close()
