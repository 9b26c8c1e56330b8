"""Tests `dragoman serve --tls-cert`: HTTPS with clients that verify the certificate, and the limits of a connection."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trustme
from anthropic import Anthropic
from click.testing import CliRunner

from conftest import body
from controllable_engine import until
from dragoman.cli import main
from dragoman.cli.tls import BadCertificate, Certificate
from server.http import Wire, get, post, wire

from .process import DRAGOMAN, Process, script, serving

ANSWER = json.dumps({"output": "Hello there."})
SLOW = json.dumps({"output": "word " * 10_000, "chunk": 5, "delay_ms": 10, "when": "slowly"})
SHORT_LIMITS = (
    "from dragoman.server.transport import connection, pace; connection.HEAD_SECONDS = pace.BODY_SECONDS = 0.3;"
    "from dragoman.cli import main; main(prog_name='dragoman')"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of this machine, its key, both in one file, and the authority that signed it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    made.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    authority.issue_cert("localhost").private_key_pem.write_to_path(str(folder / "other-key.pem"))
    return folder


@pytest.fixture(scope="module")
def server(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server with short limits, so that no test waits for long."""
    lines = script(tmp_path_factory.mktemp("script"), SLOW, ANSWER)
    options = ["--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "key.pem")]
    program = [sys.executable, "-c", SHORT_LIMITS]
    with serving("--engine", "scripted", "--script", lines, *options, program=program) as process:
        yield process


@pytest.fixture(autouse=True)
def _trusts_the_authority(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files / "authority.pem"))


@contextmanager
def encrypted(url: str) -> Iterator[Wire]:
    """A raw connection inside TLS."""
    with wire(url) as plain, ssl.create_default_context().wrap_socket(plain.sock, server_hostname="127.0.0.1") as sock:
        yield Wire(sock)


def test_a_client_that_verifies_the_certificate_is_answered(server: Process) -> None:
    assert server.url.startswith("https://127.0.0.1:")
    assert server.banner.count(server.url) == 4
    assert post(server.url, body(model=server.model)).json["content"][0]["text"] == "Hello there."
    asked: Any = {"model": server.model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    with Anthropic(base_url=server.url, api_key="none") as client, client.messages.stream(**asked) as stream:
        assert stream.get_final_message().content[0].text == "Hello there."


def test_a_client_that_does_not_know_the_authority_refuses_the_server(server: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with pytest.raises(ssl.SSLCertVerificationError):
        get(server.url, "/health")


def test_plain_http_is_not_answered(server: Process) -> None:
    with pytest.raises(OSError, match=r".*"):
        get(server.url.replace("https", "http"), "/health")


def test_old_versions_of_tls_are_refused(server: Process) -> None:
    context = ssl.create_default_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with wire(server.url) as client, pytest.raises(ssl.SSLError):
        context.wrap_socket(client.sock, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 70_000, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP", HTTPStatus.REQUEST_TIMEOUT),
        (
            b"POST /v1/messages HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
            HTTPStatus.REQUEST_TIMEOUT,
        ),
        (b"what is this\r\n\r\n", HTTPStatus.BAD_REQUEST),
    ],
    ids=["large head", "incomplete head", "incomplete body", "not HTTP"],
)
def test_the_limits_of_a_connection_hold_inside_tls(server: Process, sent: bytes, status: HTTPStatus) -> None:
    with encrypted(server.url) as client:
        client.sock.sendall(sent)
        assert client.read_all().startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.clause("TRN-18")
def test_a_client_that_leaves_frees_its_slot(server: Process) -> None:
    with encrypted(server.url) as client:
        client.send(body({"role": "user", "content": "slowly"}, model=server.model, stream=True))
        client.read_until(b"text_delta")
        assert b"dragoman_requests_running 1.0" in get(server.url, "/metrics").content
    until(lambda: b"dragoman_requests_running 0.0" in get(server.url, "/metrics").content)


@pytest.mark.slow
def test_the_doctor_examines_an_https_server(server: Process) -> None:
    command = [*DRAGOMAN, "doctor", server.url, "--only", "request-id", "--only", "sse-tail"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.slow
def test_one_file_may_hold_the_certificate_and_its_key(files: Path, tmp_path: Path) -> None:
    with serving("--engine", "scripted", "--script", script(tmp_path, ANSWER), "--tls-cert", str(files / "both.pem")) as server:
        assert get(server.url, "/health").status == HTTPStatus.OK
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--tls-key", "key.pem"], "--tls-cert"),
        (["--tls-cert", "absent.pem"], "absent.pem: no such file"),
        (["--tls-cert", "cert.pem", "--tls-key", "absent.pem"], "absent.pem: no such file"),
        (["--tls-cert", "cert.pem"], "cert.pem: not a certificate"),
        (["--tls-cert", "key.pem"], "key.pem: not a certificate"),
        (["--tls-cert", "cert.pem", "--tls-key", "other-key.pem"], "KEY_VALUES_MISMATCH"),
        (["--tls-cert", "."], "no such file"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(
    files: Path, tmp_path: Path, options: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    lines = script(tmp_path, ANSWER)
    done = CliRunner().invoke(main, ["serve", "--engine", "scripted", "--script", lines, *options])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert reason in line


def test_a_renewal_that_fails_keeps_the_certificate(files: Path, tmp_path: Path) -> None:
    used = tmp_path / "used.pem"
    used.write_bytes((files / "both.pem").read_bytes())
    certificate = Certificate(used)
    used.write_bytes((files / "cert.pem").read_bytes() + (files / "other-key.pem").read_bytes())
    with pytest.raises(BadCertificate):
        certificate.load()
    assert handshake(certificate.context)


def handshake(context: ssl.SSLContext) -> bool:
    """Whether a client that trusts the authority completes a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context().wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version() is not None
