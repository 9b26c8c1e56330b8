"""Forces a very small model to make 200 calls, each of which must be valid by its schema.

Without DRAGOMAN_TESTS=thorough it is every tenth call: one of each schema, half of them with a second tool. The schemas are of
the kinds that clients send. A model of this size fills an unbounded value until its tokens are used up, so that the test has a
fixed limit of tokens and greedy sampling: the output is the same every time.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema_rs
import pytest

from conftest import live_registry, registry_of
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve

STEP = 1 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 10
TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def obj(required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


NODE = {"Node": obj(["value"], value=WHOLE, children={"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 2})}

SCHEMAS: list[dict[str, Any]] = [
    obj(city=TEXT),
    obj(a=NUMBER, b=NUMBER),
    obj(n={"type": "integer", "minimum": 1, "maximum": 10**12}),
    obj(unit={"enum": ["c", "f", 1, None]}, flag={"type": "boolean"}),
    obj(tags={"type": "array", "items": TEXT}),
    obj(five={"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 5}),
    obj(phone={"type": "string", "pattern": r"^\+[0-9]{6,12}$"}),
    obj(id={"type": "string", "format": "uuid"}, when={"type": "string", "format": "date-time"}),
    obj(node={"$ref": "#/$defs/Node"}) | {"$defs": NODE},
    obj(x={"anyOf": [TEXT, WHOLE, {"type": "null"}]}),
    obj(x={"oneOf": [obj(kind={"const": "a"}, p=TEXT), obj(kind={"const": "b"}, q=WHOLE)]}),
    obj(),
    {"type": "object"},
    obj(m={"type": "object", "additionalProperties": NUMBER}),
    obj(s={"type": "string", "minLength": 5, "maxLength": 20}),
    obj(s=TEXT, o=obj(deep=obj(er={"type": "array", "items": obj(z={"type": "boolean"})}))) | {"additionalProperties": False},
    obj(p={"allOf": [obj(a=TEXT), obj(b=WHOLE)]}),
    obj(percent={"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.5}),
    obj(t={"type": ["string", "null"]}, u={"type": ["integer", "boolean"]}),
    obj(["path", "content"], path=TEXT, content=TEXT, mode={"enum": ["w", "a"]}),
]
QUESTIONS = [
    "What is the weather in Paris?",
    "Please store 12 and 15.",
    "Do it now.",
    "Remember that my number is +4912345678.",
    "Write a file about the sea.",
    "Call me a taxi",
    "x",
    "Tag this: red, blue, green",
    "Who was Ada Lovelace?",
    "Make a tree with three nodes.",
]


@pytest.fixture
def url() -> Iterator[str]:
    engine = EmbeddedLlama(resolve(None).path, context=2048, parallel=1, threads=1)
    with live_registry(registry_of(engine, id="default")) as served:
        yield served


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.clause("TOOL-5", "TOOL-7", "TOOL-17", "STOP-2")
async def test_all_forced_calls_are_valid(url: str) -> None:
    slots = asyncio.Semaphore(4)

    async def ask(number: int, question: int) -> str:
        """A description of what is wrong with the call; empty if it is valid."""
        schemas = {f"tool_{number}": SCHEMAS[number]}
        if question % 2:
            schemas["other"] = SCHEMAS[(number + 7) % len(SCHEMAS)]
        choice = {"type": "tool", "name": f"tool_{number}"} if question % 3 else {"type": "any"}
        async with slots:
            message = await client.messages.create(
                model="claude-local",
                max_tokens=400,
                tools=[{"name": name, "description": "Does it.", "input_schema": schema} for name, schema in schemas.items()],
                tool_choice=choice,
                messages=[{"role": "user", "content": QUESTIONS[question]}],
                extra_body={"temperature": 0},
            )
        calls = [block for block in message.content if block.type == "tool_use" and block.name in schemas]
        valid = [jsonschema_rs.is_valid(schemas[block.name], block.input) for block in calls]
        if message.stop_reason == "tool_use" and len(message.content) == len(calls) == 1 and all(valid):
            return ""
        return f"{number}, {question}: {message.stop_reason} {json.dumps([block.to_dict() for block in message.content])[:200]}"

    pairs = [(number, question) for number in range(len(SCHEMAS)) for question in range(len(QUESTIONS))]
    pairs = [pair for pair in pairs if sum(pair) % STEP == 0]
    async with anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0, timeout=300) as client:
        outcomes = await asyncio.gather(*(ask(*pair) for pair in pairs))
    assert len(outcomes) == len(pairs) >= 200 // STEP
    assert [outcome for outcome in outcomes if outcome] == []
