"""`--capture`: every request and its answer becomes a file."""

import gzip
import json
import logging
from http import HTTPStatus
from pathlib import Path

import pytest

from conftest import MODEL, Serve, body, live_server, user
from dragoman.observe import Exchange
from dragoman.server import Settings
from server.http import get, post, wire
from stage import FIRST_TOKEN, Stage, until

KEY = "sesame-opens"
DEVICE = "9f" * 32


def captured(folder: Path, number: int = 1) -> list[Exchange]:
    """The exchanges there, once there are so many."""
    until(lambda: len(list(folder.glob("*.json"))) == number)
    assert len(list(folder.iterdir())) == number
    return [Exchange.read(path) for path in sorted(folder.iterdir())]


def test_both_bodies_are_kept_to_the_byte(serve: Serve, tmp_path: Path) -> None:
    url = serve("Hello there.", capture=tmp_path)
    asked = b' {"model": "scripted",\n "max_tokens":5, "messages":[{"role":"user","content":"\\u00e9\xc3\xa9"}]} '
    answer = post(url, asked, "/v1/messages?beta=true")
    (found,) = captured(tmp_path)
    assert (found.request.method, found.request.target) == ("POST", "/v1/messages?beta=true")
    assert (found.request.content, found.request.whole) == (asked, True)
    assert (found.response.status, found.response.content, found.response.whole) == (HTTPStatus.OK, answer.content, True)
    assert found.request_id == answer.headers["request-id"] == found.response.headers["request-id"]


def test_the_events_of_a_stream_are_kept_with_their_times(serve: Serve, tmp_path: Path) -> None:
    answer = post(serve("one two three", capture=tmp_path), body(stream=True))
    (found,) = captured(tmp_path)
    assert found.response.content == answer.content
    times = [age for age, _ in found.response.body]
    assert times == sorted(times)
    assert all(text.endswith("\n\n") for _, text in found.response.body)


def test_no_secret_reaches_the_file(serve: Serve, tmp_path: Path) -> None:
    url = serve(api_key=KEY, capture=tmp_path)
    who = json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": "s-1"})
    asked = body(metadata={"user_id": who})
    for headers in ({"x_api_key": KEY}, {"authorization": f"Bearer {KEY}"}):
        assert post(url, asked, cookie=f"k={KEY}", content_encoding=None, **headers).status == HTTPStatus.OK
    packed = gzip.compress(json.dumps(asked).encode())
    assert post(url, packed, x_api_key=KEY, content_encoding="gzip").status == HTTPStatus.OK
    assert post(url, packed[:-9], x_api_key=KEY, content_encoding="gzip").status == HTTPStatus.BAD_REQUEST
    found = captured(tmp_path, 4)
    for path in tmp_path.iterdir():
        assert KEY not in path.read_text(encoding="utf-8")
        assert DEVICE not in path.read_text(encoding="utf-8")
    assert json.loads(found[0].request.content) == {**asked, "metadata": {"user_id": who.replace(DEVICE, "0" * 64)}}
    assert {"x-api-key", "cookie", "metadata.user_id"} <= set(found[0].removed)
    assert {"authorization", "cookie", "metadata.user_id"} <= set(found[1].removed)
    assert found[2].request.content == found[0].request.content
    assert (found[3].request.content, found[3].request.whole) == (b"", False)


def test_refusals_are_kept_too(serve: Serve, tmp_path: Path) -> None:
    url = serve(api_key=KEY, capture=tmp_path)
    post(url, b"{", x_api_key=KEY)
    post(url, body(user("nobody may read this")))
    get(url, "/nowhere", x_api_key=KEY)
    broken, keyless, lost = captured(tmp_path, 3)
    assert (broken.response.status, broken.request.content) == (HTTPStatus.BAD_REQUEST, b"{")
    assert (keyless.response.status, keyless.request.whole) == (HTTPStatus.UNAUTHORIZED, False)
    assert (lost.response.status, lost.request.target, lost.request.whole) == (HTTPStatus.NOT_FOUND, "/nowhere", True)


def test_probes_are_not_kept(serve: Serve, tmp_path: Path) -> None:
    url = serve(capture=tmp_path)
    for path in ("/", "/health", "/metrics"):
        get(url, path)
    post(url, body())
    assert captured(tmp_path)[0].request.target == "/v1/messages"


def test_what_a_client_got_before_it_left_is_kept(tmp_path: Path) -> None:
    engine = Stage()
    with live_server(engine, Settings(model_id=MODEL, capture=tmp_path)) as url:
        engine.says("one two three four", chunk=4)
        engine.hold(before=FIRST_TOKEN + 1)
        with wire(url) as client:
            client.send(body(stream=True))
            client.read_until(b'"text":"one')
        (found,) = captured(tmp_path)
    assert not found.response.whole
    assert b"message_start" in found.response.content
    assert b"message_stop" not in found.response.content


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_answer(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / "a file"
    taken.touch()
    with caplog.at_level(logging.WARNING):
        assert post(serve(capture=taken), body()).status == HTTPStatus.OK
        until(lambda: "was not captured" in caplog.text)
