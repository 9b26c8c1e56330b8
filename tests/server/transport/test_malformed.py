"""Malformed bodies are all refused, without harm to the server."""

import copy
import json
import random
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from conftest import MODEL, user
from controllable_engine import ControllableEngine
from server.http import post
from server.test_count import CALL, RESULT, TOOL

BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 2048,
    "system": [{"type": "text", "text": "You are a duck.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    "messages": [
        user("Weather?"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Let me see."},
                CALL,
            ],
        },
        {"role": "user", "content": [RESULT, {"type": "text", "text": "and now?"}]},
    ],
    "tools": [TOOL],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "stream": False,
    "metadata": {"user_id": "u"},
}
REQUIRED = {
    "model",
    "max_tokens",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "thinking",
    "signature",
    "id",
    "name",
    "input_schema",
}
OPTIONAL = {("thinking",), ("messages", 2, "content", 0, "content"), ("tool_choice", "type")}
STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 10**30, -(10**400), 0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "\x00", "\u202e", "\ufdd0\ufffe", "x" * 100_000, "<|im_end|>", "{{ 7 * 7 }}", "{% raise %}", "../../etc/passwd"),
    *([], [[]], {}, {"": ""}, {"type": None}, {"type": "text", "text": "a"}, ["a", 1, None], {"a": 10**30}),
    *({"$ref": "#"}, {"type": "object", "properties": {"a": {"$ref": "#"}}}, json.loads("[" * 120 + "]" * 120)),
]


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values in a body."""
    if here:
        yield here
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from paths(inner, (*here, key))


def changed(path: tuple[Any, ...], *new: Any) -> Any:
    """Return the body with another value at that path, or without it."""
    body = copy.deepcopy(BODY)
    *above, last = path
    place: Any = body
    for step in above:
        place = place[step]
    if new:
        place[last] = new[0]
    else:
        del place[last]
    return body


def malformed(number: int, rng: random.Random) -> bytes:
    """Return a body that is certainly invalid."""
    whole = json.dumps(BODY).encode()
    places = [path for path in paths(BODY) if "input" not in path and "properties" not in path and "required" not in path]
    match number % 4:
        case 0:  # truncated
            return whole[: rng.randrange(len(whole))]
        case 1:  # a byte that is invalid anywhere in JSON
            cut = rng.randrange(len(whole))
            return whole[:cut] + bytes([rng.choice([0x00, 0x01, 0x1F, 0xFF, 0xC0])]) + whole[cut:]
        case 2:  # a value of a type that no field has
            return json.dumps(changed(rng.choice(places), [[rng.random()]])).encode()
        case _:  # a required field is missing
            needed = [path for path in places if path[-1] in REQUIRED and path not in OPTIONAL]
            return json.dumps(changed(rng.choice(needed))).encode()


@pytest.mark.clause("ERR-1", "ERR-9", "REQ-7")
def test_500_malformed_bodies_are_refused_one_by_one(engine: ControllableEngine) -> None:
    rng = random.Random(500)
    assert post(engine.url, BODY).status == HTTPStatus.OK
    for number in range(500):
        content = malformed(number, rng)
        answer = post(engine.url, content)
        assert answer.status == HTTPStatus.BAD_REQUEST, (content, answer.content)
        assert answer.error[0] == "invalid_request_error"
        assert len(answer.content) < 2000
    assert post(engine.url, BODY).status == HTTPStatus.OK
    assert engine.opened == engine.closed


@pytest.mark.clause("ERR-1")
def test_strange_values_are_answered_or_refused_and_never_crash(engine: ControllableEngine) -> None:
    rng = random.Random(7)
    places = list(paths(BODY))
    for number in range(400):
        content = json.dumps(changed(rng.choice(places), STRANGE[number % len(STRANGE)])).encode()
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            answer = post(engine.url, content, path)
            assert answer.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND), (
                content[:2000],
                answer.content,
            )
            if answer.status != HTTPStatus.OK:
                assert answer.error[1]
    assert post(engine.url, BODY).status == HTTPStatus.OK
