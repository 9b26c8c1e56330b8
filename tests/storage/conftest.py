"""The places where things are kept: SQLite and a folder every day; Postgres and an S3-compatible store in the slow tests."""

import http.client
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from clients.installed import python_packages
from dragoman.storage.place import Place

MOTO = "moto[server]==5.2.5"
_PACKAGES = Path("/usr/lib/postgresql")
"""Where Debian and its relatives install Postgres."""
_UNPRIVILEGED = 65534
"""The account without rights that every Linux has."""
_numbers = itertools.count()


def postgres_program(name: str) -> str:
    """The path of a program of Postgres; skips the test if the distribution has not installed it."""
    found = shutil.which(name) or next((str(path) for path in sorted(_PACKAGES.glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"needs {name}: the distribution's package postgresql")
    return found


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a Postgres server, and yield the URL of its databases without a name."""
    owner = pwd.getpwuid(_UNPRIVILEGED if os.getuid() == 0 else os.getuid())  # it refuses to run as root
    initdb, postgres = postgres_program("initdb"), postgres_program("postgres")
    with TemporaryDirectory(prefix="dragoman-postgres-") as folder:
        data = Path(folder, "data")
        data.mkdir()
        for path in (Path(folder), data):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        given: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid} if os.getuid() == 0 else {}
        command = [initdb, "--pgdata", str(data), "--username=dragoman", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **given)
        port = free_port()
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
        server = subprocess.Popen([postgres, "-D", str(data), *options], stderr=subprocess.DEVNULL, cwd=folder, **given)
        try:
            wait_for_port(port)
            yield f"postgresql://dragoman@127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def new_database(url: str) -> str:
    """Make a database, and return its URL."""
    import psycopg  # noqa: PLC0415

    name = f"test{next(_numbers)}"
    deadline = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(f"{url}postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return url + name
        except psycopg.OperationalError:  # it is still starting
            assert time.monotonic() < deadline


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of its own for each test."""
    if request.param == "sqlite":
        return Place(tmp_path)
    return Place(tmp_path, database=new_database(request.getfixturevalue("postgres")))


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of an S3-compatible store, moto's server, with the bucket `files`."""
    packages, port = python_packages(f"storage/{MOTO}", [MOTO]), free_port()
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = [sys.executable, "-P", "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("PUT", "/files", headers={"host": f"127.0.0.1:{port}"})
            assert connection.getresponse().status == http.HTTPStatus.OK
            connection.close()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
