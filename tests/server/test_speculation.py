"""Answers of the real engine are the same with and without speculative decoding, and so is their usage."""

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import MODEL, body, live_server, user
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.speculation import AUTO, OFF, Speculation
from dragoman.models.resolve import resolve
from server.http import get, post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOTE = (
    "The harbour lies at the mouth of a small river. Fishing boats leave before dawn, and most of them are back by noon. "
    "The quay was built of grey stone in 1834, after a storm had carried the wooden one away."
)
TURNS = [user(f"Write it again: {NOTE}"), {"role": "assistant", "content": NOTE}, user(f"Write it again: {NOTE}")]
TOOL = {
    "name": "Write",
    "input_schema": {
        "type": "object",
        "properties": {"text": {"const": NOTE}},
        "required": ["text"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def speculating() -> Iterator[str]:
    yield from served(AUTO)


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    yield from served(OFF)


def served(speculation: Speculation) -> Iterator[str]:
    engine = EmbeddedLlama(resolve(None).path, context=2048, parallel=1, threads=1, speculation=speculation)
    with live_server(engine, id=MODEL) as url:
        yield url


@pytest.mark.clause("USE-4")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "end_turn"),
        ({"max_tokens": 20}, "max_tokens"),
        ({"stop_sequences": ["grey"]}, "stop_sequence"),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_use"),
    ],
)
def test_answers_and_usage_are_the_same(speculating: str, plain: str, fields: dict[str, Any], reason: str) -> None:
    request = body(*TURNS, **{"max_tokens": 100, "temperature": 0, **fields})
    ours, theirs = post(speculating, request).json, post(plain, request).json
    for answer in (ours, theirs):
        answer["usage"] = {name: count for name, count in answer["usage"].items() if name == "output_tokens"}
        for block in answer["content"]:
            block.pop("id", None)
    assert ours["stop_reason"] == reason
    assert {**ours, "id": ""} == {**theirs, "id": ""}


def test_what_speculates_and_what_was_drafted_can_be_seen(speculating: str) -> None:
    post(speculating, body(*TURNS, max_tokens=40, temperature=0))
    assert "n-grams of the conversation" in get(speculating, "/health").content.decode()
    counts = dict(
        line.split()
        for line in get(speculating, "/metrics").content.decode().splitlines()
        if line.startswith("dragoman_") and "{" not in line
    )
    assert 0 < float(counts["dragoman_accepted_tokens_total"]) <= float(counts["dragoman_drafted_tokens_total"])
