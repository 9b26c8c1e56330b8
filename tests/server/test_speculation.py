"""Answers of the real engine are the same with and without speculative decoding, and so is their usage."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from conftest import MODEL, body, live_server, user
from dragoman import dialects
from dragoman.engines import Capabilities
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.speculation import AUTO, OFF, Speculation
from dragoman.models.resolve import resolve
from prompt import templates
from server.http import get, post
from thinking_budget import INTERLEAVED, set_budget

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOTE = (
    "The harbour lies at the mouth of a small river. Fishing boats leave before dawn, and most of them are back by noon. "
    "The quay was built of grey stone in 1834, after a storm had carried the wooden one away."
)
TURNS = [user(f"Write it again: {NOTE}"), {"role": "assistant", "content": NOTE}, user(f"Write it again: {NOTE}")]
BUDGET = 24
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
    with live_server(engine_with(speculation), id=MODEL) as url:
        yield url


def engine_with(speculation: Speculation, kind: type[EmbeddedLlama] = EmbeddedLlama) -> EmbeddedLlama:
    return kind(resolve(None).path, context=2048, parallel=1, threads=1, speculation=speculation)


class Thinking(EmbeddedLlama):
    """The engine, as if the model's template opened the reasoning."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), chat_template=templates.THINKING)


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


@pytest.mark.clause("THK-2", "USE-4")
def test_reasoning_ends_at_the_same_token_of_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    set_budget(monkeypatch, BUDGET)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = body(user("Tell me a very long story about the sea."), max_tokens=BUDGET + 40, thinking=thinking)
    answers = []
    for speculation in (AUTO, OFF):
        with live_server(engine_with(speculation, Thinking), id=MODEL, dialect=dialects.get("qwen3")) as url:
            answers.append(post(url, request, **INTERLEAVED).json)
    for answer in answers:
        for block in answer["content"]:
            block.pop("signature", None)
    ours, theirs = answers
    assert ours["content"] == theirs["content"]
    assert ours["content"][0]["type"] == "thinking"
    assert ours["usage"]["output_tokens"] == theirs["usage"]["output_tokens"]
    assert ours["usage"]["output_tokens_details"] == {"thinking_tokens": BUDGET}
