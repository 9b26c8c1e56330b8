"""Paths, prefixes, content types, encodings and ids, which all requests and responses share."""

import gzip
import json
import re
import socket
from http import HTTPStatus

import pytest

from conftest import MODEL, Serve, body, user
from controllable_engine import ControllableEngine
from dragoman.server.batches import intake
from dragoman.server.transport import body as reading
from server.http import EVENTS, JSON, ask, get, post, wire

PREFIXES = ("", "/anthropic")


@pytest.mark.clause("TRN-1")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_whole_api_is_under_both_prefixes(engine: ControllableEngine, prefix: str) -> None:
    assert post(engine.url, body(), f"{prefix}/v1/messages").json["content"][0]["text"] == "Hello there."
    assert post(engine.url, body(), f"{prefix}/v1/messages/count_tokens").json["input_tokens"] > 0
    assert get(engine.url, f"{prefix}/v1/models").json["first_id"] == MODEL
    assert get(engine.url, f"{prefix}/v1/models/{MODEL}").json["id"] == MODEL
    assert get(engine.url, f"{prefix}/health").json == {"status": "ok", "model": MODEL}


@pytest.mark.clause("TRN-10")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_trailing_slash_does_not_redirect(engine: ControllableEngine, prefix: str) -> None:
    assert post(engine.url, body(), f"{prefix}/v1/messages/").status == HTTPStatus.OK
    assert post(engine.url, body(), f"{prefix}/v1/messages/count_tokens/").status == HTTPStatus.OK
    assert get(engine.url, f"{prefix}/v1/models/").status == HTTPStatus.OK


@pytest.mark.clause("TRN-2", "CC-1")
def test_the_query_string_does_not_change_the_route(engine: ControllableEngine) -> None:
    assert post(engine.url, body(), "/v1/messages?beta=true").status == HTTPStatus.OK
    assert post(engine.url, body(), "/v1/messages/count_tokens?beta=true&x=1").status == HTTPStatus.OK


@pytest.mark.clause("TRN-3", "TRN-4", "TRN-5")
@pytest.mark.parametrize("accept", [JSON, EVENTS, "text/html", None])
def test_the_body_alone_decides_whether_it_is_a_stream(engine: ControllableEngine, accept: str | None) -> None:
    whole = post(engine.url, body(stream=False), accept=accept)
    streamed = post(engine.url, body(stream=True), accept=accept)
    assert (whole.status, whole.headers["content-type"]) == (HTTPStatus.OK, JSON)
    assert streamed.status == HTTPStatus.OK
    assert streamed.headers["content-type"].split(";")[0] == EVENTS
    assert streamed.events[-1] == {"type": "message_stop"}


@pytest.mark.clause("TRN-5")
def test_each_event_is_sent_immediately(engine: ControllableEngine) -> None:
    url = engine.says("one two three four", chunk=4)
    engine.hold(before=3)
    with wire(url) as connection:
        connection.send(body(stream=True))
        seen = connection.read_until(b'"text":" two"')  # the second chunk, while the third is held back
        assert seen.startswith(b"HTTP/1.1 200 OK\r\n")
        engine.release()
        connection.read_until(b"event: message_stop")


@pytest.mark.clause("TRN-6")
def test_every_response_has_its_own_id(engine: ControllableEngine) -> None:
    answers = [
        post(engine.url, body()),
        post(engine.url, body(stream=True)),
        post(engine.url, body(), "/v1/messages/count_tokens"),
        post(engine.url, b"{"),
        post(engine.url, body(), anthropic_version=None),
        post(engine.url, body(model="unknown")),
        get(engine.url, "/v1/models"),
        get(engine.url, "/v1/models/unknown"),
        get(engine.url, "/v1/messages"),
        get(engine.url, "/nowhere"),
        get(engine.url, "/health"),
        ask(engine.url, "HEAD", "/"),
        ask(engine.url, "OPTIONS", "/v1/messages"),
        ask(engine.url, "POST", "/api/event_logging/batch", b"{}"),
    ]
    ids = [answer.headers["request-id"] for answer in answers]
    assert all(re.fullmatch(r"req_[0-9a-zA-Z]{20,}", identifier) for identifier in ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.clause("TRN-8")
@pytest.mark.parametrize("version", ["2023-01-01", "2023-06-01", "2026-10-21"])
def test_each_version_of_the_api_is_accepted(engine: ControllableEngine, version: str) -> None:
    assert post(engine.url, body(temperature=0.5), anthropic_version=version).status == HTTPStatus.OK


@pytest.mark.clause("TRN-8")
def test_a_version_is_required_and_must_be_known(engine: ControllableEngine) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        missing = post(engine.url, body(), path, anthropic_version=None)
        assert missing.status == HTTPStatus.BAD_REQUEST
        assert missing.error == ("invalid_request_error", "anthropic-version: header is required")
        unknown = post(engine.url, body(), path, anthropic_version="2024-01-01")
        assert unknown.status == HTTPStatus.BAD_REQUEST
        assert unknown.error == ("invalid_request_error", 'anthropic-version: "2024-01-01" is not a valid version')
    assert get(engine.url, "/v1/models").status == HTTPStatus.OK


@pytest.mark.clause("TRN-9")
def test_fields_removed_in_the_newest_version_are_refused_in_strict_mode_only(engine: ControllableEngine, serve: Serve) -> None:
    sampled = body(temperature=1)
    cited = body({"role": "user", "content": [{"type": "text", "text": "Hi", "citations": [{}]}]})
    strict = serve("Hello there.", strict=True)
    for given, path in ((sampled, "temperature"), (cited, "messages.0.content.0.text.citations")):
        assert post(engine.url, given, anthropic_version="2026-10-21").status == HTTPStatus.OK
        assert post(strict, given, anthropic_version="2023-06-01").status == HTTPStatus.OK
        refused = post(strict, given, anthropic_version="2026-10-21")
        assert refused.error == ("invalid_request_error", f"{path}: Extra inputs are not permitted")


@pytest.mark.clause("TRN-11", "CC-1")
def test_client_headers_do_not_change_the_answer(engine: ControllableEngine) -> None:
    answer = post(
        engine.url,
        body(),
        x_stainless_lang="python",
        x_stainless_retry_count="1",
        x_stainless_read_timeout="600",
        x_claude_code_session_id="5f3a",
        x_claude_code_agent_id="1",
        user_agent="claude-cli/2.1 (external, cli)",
    )
    assert answer.status == HTTPStatus.OK


@pytest.mark.clause("TRN-12")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_body_above_the_limit_is_413(engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(reading, "MAX_BODY", 1000)
    declared = post(engine.url, body(user("word " * 400)), path)
    assert (declared.status, declared.error[0]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large")
    assert declared.headers["x-should-retry"] == "false"
    assert post(engine.url, body(user("word " * 100)), path).status == HTTPStatus.OK


@pytest.mark.clause("TRN-12")
def test_a_body_without_a_declared_length_is_limited(engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BODY", 1000)
    with wire(engine.url) as connection:
        head = (
            "POST /v1/messages HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        connection.sock.sendall(head.encode() + b"800\r\n" + b" " * 0x800 + b"\r\n")
        assert b" 413 " in connection.read_until(b"\r\n")


@pytest.mark.clause("TRN-12")
def test_the_limit_is_32_mb() -> None:
    assert reading.MAX_BODY == 32 * 1024 * 1024


@pytest.mark.clause("TRN-13")
def test_a_gzip_body_is_read(engine: ControllableEngine) -> None:
    assert post(engine.url, gzip.compress(json.dumps(body()).encode()), content_encoding="gzip").status == HTTPStatus.OK
    assert post(engine.url, gzip.compress(json.dumps(body()).encode()), content_encoding="GZIP").status == HTTPStatus.OK
    assert post(engine.url, body(), content_encoding="identity").status == HTTPStatus.OK


@pytest.mark.clause("TRN-13", "ERR-4")
@pytest.mark.parametrize(
    ("content", "encoding", "problem"),
    [
        (b"{}", "br", (400, "request_body_encoding_unsupported")),
        (b"{}", "gzip", (400, "request_body_encoding_invalid")),
        (gzip.compress(b'{"a": "a long text"}', mtime=0)[:-6], "gzip", (400, "request_body_encoding_invalid")),
        (b"", "gzip", (400, "request_body_encoding_invalid")),
        (gzip.compress(b"{}", mtime=0) + b"{}", "gzip", (400, "request_body_encoding_invalid")),
        (gzip.compress(b" " * 2000, mtime=0), "gzip", (413, "request_body_too_large_after_decoding")),
    ],
)
def test_a_body_that_cannot_be_decoded_is_refused_with_the_reason(
    engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch, content: bytes, encoding: str, problem: tuple[int, str]
) -> None:
    monkeypatch.setattr(reading, "MAX_BODY", 1000)
    monkeypatch.setattr(intake, "MOST_BYTES", 1000)
    for path in ("/v1/messages", "/v1/messages/batches"):
        answer = post(engine.url, content, path, content_encoding=encoding)
        assert (answer.status, answer.json["error"]["details"]["error_code"]) == problem


@pytest.mark.clause("TRN-13")
def test_known_charsets_are_read_and_others_refused(engine: ControllableEngine) -> None:
    latin = json.dumps(body(user("été")), ensure_ascii=False).encode("latin-1")
    assert post(engine.url, latin, content_type="application/json; charset=ISO-8859-1").status == HTTPStatus.OK
    for name in ("utf-8", "UTF-8", '"utf-8"', "us-ascii"):
        assert post(engine.url, body(), content_type=f"application/json; charset={name}").status == HTTPStatus.OK
    for path in ("/v1/messages", "/v1/messages/batches"):
        refused = post(engine.url, body(), path, content_type="application/json; charset=utf-16")
        assert refused.status == HTTPStatus.BAD_REQUEST
        assert refused.json["error"]["details"] == {"error_code": "unsupported_charset"}


@pytest.mark.clause("TRN-14", "MOD-6")
@pytest.mark.parametrize("path", ["/v1/models/org%2Fmodel", "/v1/models/org/model", "/anthropic/v1/models/org%2fmodel"])
def test_a_model_id_may_contain_a_slash(engine: ControllableEngine, path: str) -> None:
    assert get(engine.url, path).json["id"] == MODEL


@pytest.mark.clause("TRN-15")
def test_array_parameters_may_have_brackets(engine: ControllableEngine) -> None:
    everything = get(engine.url, "/v1/models").json
    assert get(engine.url, "/v1/models?lifecycle%5B%5D=active&lifecycle%5B%5D=retired").json == everything
    assert get(engine.url, "/v1/models?lifecycle[]=active").json == everything
    assert get(engine.url, "/v1/models?lifecycle%5B%5D=retired").json["data"] == []


def test_probes_are_answered_and_need_no_key(serve: Serve) -> None:
    url = serve(api_key="secret")
    for method, path in (("HEAD", "/"), ("GET", "/"), ("HEAD", "/api/hello"), ("GET", "/api/hello"), ("GET", "/health")):
        answer = ask(url, method, path)
        assert answer.status == HTTPStatus.OK
        assert bool(answer.content) == (method != "HEAD")
    assert ask(url, "POST", "/api/event_logging/batch", b'{"events": []}').status == HTTPStatus.OK
    assert ask(url, "POST", "/api/event_logging/batch", b"what is this").status == HTTPStatus.OK


def test_options_is_answered_on_every_path(engine: ControllableEngine) -> None:
    for path in ("/v1/messages", "/v1/models", "/nowhere"):
        answer = ask(engine.url, "OPTIONS", path)
        assert (answer.status, answer.content) == (HTTPStatus.NO_CONTENT, b"")
        assert "POST" in answer.headers["allow"]


def test_head_answers_like_get_without_a_body(engine: ControllableEngine) -> None:
    for path in ("/v1/models", f"/v1/models/{MODEL}"):
        answer = ask(engine.url, "HEAD", path)
        assert (answer.status, answer.content) == (HTTPStatus.OK, b"")
        assert answer.headers["content-length"] == str(len(get(engine.url, path).content))


def test_a_connection_is_reused(engine: ControllableEngine) -> None:
    with wire(engine.url) as connection:
        for _ in range(3):
            connection.send(body())
            connection.read_until(b'"diagnostics":null}')
        connection.send(body(stream=True))
        connection.read_until(b"0\r\n\r\n")
        connection.send(b"{")
        assert b" 400 " in connection.read_until(b"\r\n")


def test_a_client_may_expect_100_continue(engine: ControllableEngine) -> None:
    with wire(engine.url) as connection:
        content = json.dumps(body()).encode()
        lines = ["POST /v1/messages HTTP/1.1", "host: test", "expect: 100-continue", f"content-length: {len(content)}"]
        lines += ["content-type: application/json", "anthropic-version: 2023-06-01"]
        connection.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sock.sendall(content)
        assert b" 200 " in connection.read_until(b"\r\n")


@pytest.mark.clause("TRN-16")
def test_a_long_answer_keeps_its_connection_open(engine: ControllableEngine) -> None:
    engine.hold(before=1)
    with wire(engine.url) as connection:
        connection.send(body())
        connection.sock.settimeout(0.5)
        with pytest.raises(socket.timeout):
            connection.read_all()
        connection.sock.settimeout(60)
        engine.release()
        assert b" 200 " in connection.read_until(b"\r\n")


def test_a_large_body_is_read_and_checked_like_a_small_one(engine: ControllableEngine) -> None:
    words = "word " * 80_000
    assert post(engine.url, body(user(words))).status == HTTPStatus.OK
    refused = post(engine.url, body(user(words), max_tokens=-1))
    assert refused.error == ("invalid_request_error", "max_tokens: Input should be greater than or equal to 0")
