"""Large requests are prepared in worker processes, with the same result as small ones; errors name the exceeded limit."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from conftest import MODEL, body, live_server, user
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server.answering import incoming, preparation
from server.http import count, post

LONG = "Some words, <b>tags</b> and a spelled <|im_end|> token.\n" * 4_000
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"x": {"type": "string"}}}}
TALK = [
    user("Hi"),
    {"role": "assistant", "content": "Hello."},
    user(LONG),
    {"role": "assistant", "content": "Well."},
    user("So?"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(ScriptedEngine([Line("Hello.")], model=MODEL, window=1_000_000), id=MODEL) as url:
        yield url


@pytest.mark.clause("CNT-2")
@pytest.mark.parametrize("system", [None, "You help."])
def test_a_large_request_gives_the_same_result_as_a_small_one(
    url: str, system: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = body(*TALK, tools=[TOOL], system=system)
    assert preparation.is_large(str(request).encode())
    in_worker, answer = count(url, request), post(url, request)
    monkeypatch.setattr(incoming, "is_large", lambda _: False)
    assert count(url, request) == in_worker
    usage = answer.json["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"] == in_worker
    assert post(url, request).json["usage"] == usage


def test_large_chats_and_completions_are_answered(url: str) -> None:
    chat = post(url, {"model": MODEL, "messages": [user(LONG)], "unknown_field": 1}, "/v1/chat/completions")
    assert chat.json["choices"][0]["message"]["content"] == "Hello."
    plain = post(url, {"model": MODEL, "prompt": LONG, "max_tokens": 5}, "/v1/completions")
    assert plain.json["usage"]["prompt_tokens"] > 10_000
    ids = post(url, {"model": MODEL, "prompt": [1] * 60_000, "max_tokens": 5}, "/v1/completions")
    assert ids.json["usage"]["prompt_tokens"] == 60_000


@pytest.mark.clause("ERR-11")
def test_a_prompt_many_windows_long_is_refused_with_an_estimate() -> None:
    with live_server(ScriptedEngine([Line("Hello.")], model=MODEL, window=1_000), id=MODEL) as url:
        request = body(user("word " * 1_200_000))
        refused = post(url, request)
        assert refused.status == HTTPStatus.BAD_REQUEST
        tokens = int(refused.error[1].removeprefix("prompt is too long: ").partition(" ")[0])
        assert 1_100_000 < tokens < 1_300_000
        assert count(url, request) == tokens


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_a_large_body_that_is_not_utf_8_is_refused(url: str, path: str) -> None:
    content = b'{"model": "\xed", "input": "Hi", "messages": [], "metadata": {"a": %b}}' % (
        b"[{}," * 1_500 + b"1" + b"]" * 1_500
    )
    assert preparation.is_large(content)
    assert post(url, content, path).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"stop_sequences": [f"s{number}" for number in range(10_001)]}, "stop_sequences"),
        ({"stop_sequences": ["s" * 100_001]}, "stop_characters"),
        ({"tools": [{"name": f"t{number}", "input_schema": {"type": "object"}} for number in range(4_001)]}, "tools"),
        ({f"field{number}": 1 for number in range(10_001)}, "unknown_fields"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 200_001}]}, "blocks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_exceeded_limit_is_named(url: str, fields: dict[str, Any], limit: str) -> None:
    refused = post(url, {**body(), **fields})
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert f"({limit})" in refused.error[1]


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return {"type": "object", "properties": {"x": schema}}


def _chained(links: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(links)}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {**definitions, f"d{links}": {}}}


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        (_nested(120), "schema_depth"),
        (_chained(500), "schema_unfolded"),
        ({"type": "object", "properties": {f"p{number}": {} for number in range(5_001)}}, "schema_properties"),
        ({"type": "object", "properties": {"x": {"enum": list(range(20_001))}}}, "schema_enum"),
        (
            {"type": "object", "properties": {"x": {"anyOf": [{"const": number} for number in range(1_001)]}}},
            "schema_alternatives",
        ),
        ({"type": "object", "properties": {"x": {"type": "array", "minItems": 10**9}}}, "schema_least"),
        ({"type": "object", "properties": {"x": {"pattern": "a" * 20_001}}}, "pattern_characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schema_that_exceeds_a_limit_is_refused_at_its_path(url: str, schema: dict[str, Any], limit: str) -> None:
    refused = post(url, body(tools=[{"name": "t", "input_schema": schema}], tool_choice={"type": "any"}))
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert refused.error[1].startswith("tools.0.custom.input_schema: ")
    assert f"({limit})" in refused.error[1]
