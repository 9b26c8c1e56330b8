"""`--capture` writes every request and its response to a file."""

import gzip
import json
import logging
import re
import shutil
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from captured import exchange_of, file_of
from conftest import MODEL, body, live_server, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.observability import CapturedExchange
from server.http import get, post, wire

KEY = "sesame-opens"
DEVICE = "9f" * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("capturing") / "captured"


@pytest.fixture(scope="module")
def capturing(folder: Path) -> Iterator[ControllableEngine]:
    """A server that captures, and needs an API key."""
    engine = ControllableEngine()
    with live_server(engine, id=MODEL, api_key=KEY, capture=folder) as engine.url:
        yield engine


def test_both_bodies_are_kept_to_the_byte(capturing: ControllableEngine, folder: Path) -> None:
    request = b' {"model": "scripted",\n "max_tokens":5, "messages":[{"role":"user","content":"\\u00e9\xc3\xa9"}]} '
    answer = post(capturing.url, request, "/v1/messages?beta=true", x_api_key=KEY)
    found = exchange_of(folder, answer)
    assert (found.request.method, found.request.target) == ("POST", "/v1/messages?beta=true")
    assert (found.request.content, found.request.whole) == (request, True)
    assert (found.response.status, found.response.content, found.response.whole) == (HTTPStatus.OK, answer.content, True)
    assert found.request_id == found.response.headers["request-id"]


def test_the_events_of_a_stream_are_kept_with_their_times(capturing: ControllableEngine, folder: Path) -> None:
    answer = post(capturing.url, body(stream=True), x_api_key=KEY)
    found = exchange_of(folder, answer)
    assert found.response.content == answer.content
    times = [age for age, _ in found.response.body]
    assert times == sorted(times)
    assert all(text.endswith("\n\n") for _, text in found.response.body)


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_no_secret_reaches_the_file(capturing: ControllableEngine, folder: Path, header: str) -> None:
    who = json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": "s-1"})
    request = body(metadata={"user_id": who})
    given = {"x-api-key": KEY, "authorization": f"Bearer {KEY}"}[header]
    answer = post(capturing.url, request, cookie=f"k={KEY}", **{header: given})
    path = file_of(folder, answer)
    assert KEY not in path.read_text(encoding="utf-8")
    assert DEVICE not in path.read_text(encoding="utf-8")
    found = CapturedExchange.read(path)
    assert json.loads(found.request.content) == {**request, "metadata": {"user_id": who.replace(DEVICE, "0" * 64)}}
    assert {header, "cookie", "metadata.user_id"} <= set(found.removed)


def test_a_compressed_body_is_kept_decompressed_or_not_at_all(capturing: ControllableEngine, folder: Path) -> None:
    request = body(user("Hello"), metadata={"user_id": "ann"})
    compressed = gzip.compress(json.dumps(request).encode())
    found = exchange_of(folder, post(capturing.url, compressed, x_api_key=KEY, content_encoding="gzip"))
    assert json.loads(found.request.content) == {**request, "metadata": {"user_id": "000"}}
    broken = exchange_of(folder, post(capturing.url, compressed[:-9], x_api_key=KEY, content_encoding="gzip"))
    assert broken.response.status == HTTPStatus.BAD_REQUEST
    assert (broken.request.content, broken.request.whole) == (b"", False)


def test_refusals_are_captured(capturing: ControllableEngine, folder: Path) -> None:
    broken = exchange_of(folder, post(capturing.url, b"{\xff", x_api_key=KEY))
    assert (broken.response.status, broken.request.content) == (HTTPStatus.BAD_REQUEST, b"{\xff")
    keyless = exchange_of(folder, post(capturing.url, body(user("a refused request"))))
    assert (keyless.response.status, keyless.request.whole) == (HTTPStatus.UNAUTHORIZED, False)
    lost = exchange_of(folder, get(capturing.url, "/nowhere", x_api_key=KEY))
    assert (lost.response.status, lost.request.target, lost.request.whole) == (HTTPStatus.NOT_FOUND, "/nowhere", True)


def test_probes_are_not_captured(capturing: ControllableEngine, folder: Path) -> None:
    probes = [get(capturing.url, path, x_api_key=KEY) for path in ("/", "/health", "/metrics")]
    file_of(folder, post(capturing.url, body(), x_api_key=KEY))
    assert not any(probe.headers["request-id"] in path.name for probe in probes for path in folder.iterdir())


def test_a_partial_response_is_kept(capturing: ControllableEngine, folder: Path) -> None:
    capturing.says("one two three four", chunk=4)
    capturing.hold(before=FIRST_TOKEN + 1)
    with wire(capturing.url) as client:
        client.send(body(stream=True), x_api_key=KEY)
        request_id = re.search(rb"req_\w+", client.read_until(b'"text":"one'))
    assert request_id is not None
    found = exchange_of(folder, request_id[0].decode())
    capturing.release()
    assert not found.response.whole
    assert b"message_start" in found.response.content
    assert b"message_stop" not in found.response.content


def test_an_unwritable_folder_causes_a_warning_and_a_normal_response(
    capturing: ControllableEngine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()
    with caplog.at_level(logging.WARNING):
        assert post(capturing.url, body(), x_api_key=KEY).status == HTTPStatus.OK
        until(lambda: "was not captured" in caplog.text)
    folder.unlink()


def test_the_limit_of_the_folder_holds(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with live_server(ControllableEngine(), id=MODEL, capture=folder, capture_limit=0) as url:
        assert post(url, body()).status == HTTPStatus.OK
    assert list(folder.iterdir()) == []
