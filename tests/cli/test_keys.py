"""Tests `dragoman serve --keys`: start, reload by SIGHUP, workers."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from conftest import body
from controllable_engine import until
from dragoman.cli import main
from server.http import get, post

from .process import Process, script, serving
from .test_workers import children, dealt, ended

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")


class KeyFile:
    """The file, and the options of a server that reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.toml"
        self.write("ann")
        self.options = ["--engine", "scripted", "--script", script(folder, '{"output": "Hello."}'), "--keys", str(self.path)]

    def write(self, *names: str) -> None:
        """Write a file with these names, whose keys are "sk-" and the name."""
        self.path.write_text("".join(f'[{name}]\nkey = "sk-{name}"\n' for name in names), encoding="utf-8")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


@contextmanager
def answering(*options: str) -> Iterator[Process]:
    with serving(*options, "--log-level", "info") as server:
        yield server
        server.signal(signal.SIGTERM)  # a process that has ended ignores it
        assert server.exit_code() == 0


def accepts(server: Process, name: str) -> bool:
    return post(server.url, body(model=server.model), x_api_key=f"sk-{name}").status == HTTPStatus.OK


def refused(*options: str) -> str:
    done = CliRunner().invoke(main, ["serve", *options])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_sighup_reads_the_keys_again_and_a_broken_file_keeps_them(keys: KeyFile) -> None:
    with answering(*keys.options) as server:
        assert "It requires a key" in server.banner
        assert accepts(server, "ann")
        assert not accepts(server, "bob")
        keys.write("bob")
        server.signal(signal.SIGHUP)
        until(lambda: accepts(server, "bob"), pause=0.05)
        assert not accepts(server, "ann")
        keys.path.write_text("[bob", encoding="utf-8")
        server.signal(signal.SIGHUP)
        assert get(server.url, "/health").status == HTTPStatus.OK
        assert accepts(server, "bob")
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        log = server.log()
    assert "SIGHUP: the keys read again" in log
    assert f"SIGHUP: the keys unchanged: {keys.path} is not TOML" in log
    assert "sk-" not in log + server.banner


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_sighup_reaches_every_worker(keys: KeyFile) -> None:
    with answering(*keys.options, "--workers", "2") as server:
        keys.write("bob")
        server.signal(signal.SIGHUP)  # the second worker is still starting
        until(lambda: all(accepts(server, "bob") for _ in range(8)), pause=0.05)
        assert not any(accepts(server, "ann") for _ in range(8))
        keys.write("ann")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGHUP)  # each worker has its own copy
        until(lambda: accepts(server, "ann"), pause=0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_workers_share_limits_and_one_that_starts_later_has_the_keys_of_now(keys: KeyFile) -> None:
    keys.path.write_text('[ann]\nkey = "sk-ann"\nrequests_per_minute = 2\n[old]\nkey = "sk-old"\n', encoding="utf-8")
    with answering(*keys.options, "--workers", "2") as server:
        workers = children(server.pid)
        until(lambda: dealt(server, workers, 2) == [1, 1])
        assert [accepts(server, "ann") for _ in range(4)] == [True, True, False, False]
        keys.path.write_text('[ann]\nkey = "sk-ann"\nrequests_per_minute = 2\n', encoding="utf-8")
        server.signal(signal.SIGHUP)
        until(lambda: not any(accepts(server, "old") for _ in range(4)), pause=0.05)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until(lambda: ended(workers) and len(children(server.pid)) == 2, pause=0.05)
        assert not any(accepts(server, name) for name in ("ann", "old") for _ in range(4))


@pytest.mark.slow
def test_sighup_takes_a_renewed_certificate(keys: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = [trustme.CA(), trustme.CA()]
    used, trusted = tmp_path / "both.pem", tmp_path / "authority.pem"
    made = [authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem for authority in authorities]
    made[0].write_to_path(str(used))
    authorities[0].cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with answering(*keys.options, "--tls-cert", str(used)) as server:
        assert accepts(server, "ann")
        made[1].write_to_path(str(used))
        authorities[1].cert_pem.write_to_path(str(trusted))
        server.signal(signal.SIGHUP)
        until(lambda: verified(server), pause=0.05)


def verified(server: Process) -> bool:
    try:
        return get(server.url, "/health").status == HTTPStatus.OK
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_files_to_read_sighup_ends_the_server(tmp_path: Path, workers: str) -> None:
    lines = script(tmp_path, '{"output": "Hello."}')
    with serving("--engine", "scripted", "--script", lines, "--workers", workers) as server:
        server.signal(signal.SIGHUP)
        assert server.exit_code() == -signal.SIGHUP


@pytest.mark.slow
def test_a_file_of_keys_allows_other_machines(keys: KeyFile) -> None:
    with answering(*keys.options, "--host", "0.0.0.0") as server:
        assert accepts(server, "ann")
        assert post(server.url, body(model=server.model)).status == HTTPStatus.UNAUTHORIZED


def test_keys_that_cannot_be_used_are_one_line(keys: KeyFile) -> None:
    assert "--keys and --api-key" in refused(*keys.options, "--api-key", "sk-one")
    keys.path.write_text('[ann]\nkey = "sk-ann"\nlimit = 3', encoding="utf-8")
    assert "[ann]: Object contains unknown field `limit`" in refused(*keys.options)
    keys.path.unlink()
    assert "keys.toml cannot be read: No such file" in refused(*keys.options)
