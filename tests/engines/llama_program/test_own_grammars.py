"""Constraints on a real llama-server that was built without llguidance, with the default model."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from anthropic import Anthropic

from clients.conftest import sdk
from conftest import live_server
from dragoman import dialects
from dragoman.engines.llama.embedded import EmbeddedLlama

from .programs import chosen, half_precision_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Ulm", "Ür"]},
        "days": {"type": "array", "items": {"$ref": "#/$defs/Day"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"Day": {"type": "object", "properties": {"wet": {"type": "boolean"}}, "required": ["wet"]}},
}
TOOL = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA, "strict": True}
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "The weather in Ulm?"}]}


@pytest.fixture(params=["qwen3", "qwen3-coder", "llama3-json"])
def client(request: pytest.FixtureRequest) -> Iterator[Anthropic]:
    engine = EmbeddedLlama(half_precision_model(), context=2048, parallel=1, program=chosen())
    with live_server(engine, id="m", dialect=dialects.get(request.param)) as url, sdk(url) as client:
        yield client


def test_calls_and_formats_are_held_to_their_schema(client: Anthropic) -> None:
    message = client.messages.create(**ASKED, tools=[TOOL], tool_choice={"type": "any"})
    (call,) = [block for block in message.content if block.type == "tool_use"]
    jsonschema_rs.validate(SCHEMA, call.input)
    message = client.messages.create(**ASKED, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    (answer,) = [block for block in message.content if block.type == "text"]
    jsonschema_rs.validate(SCHEMA, json.loads(answer.text))
