"""Calls that a model of one family writes in the notation of any other."""

import json
import random
from typing import Any

import pytest

from dialects.reading import Reading, read
from dragoman import dialects
from dragoman.conversation import ToolCall
from splits import random_chunks

SCHEMAS: dict[str, Any] = {
    "write_file": {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "text": {"type": "string"},
            "mode": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["path"],
    },
    "now": {"type": "object", "properties": {}},
    "get.time-x": {"type": "object", "properties": {"zone": {"type": "string"}}},
}
TURNS: list[list[tuple[str, dict[str, Any]]]] = [
    [("write_file", {"path": "a b.txt", "text": 'line 1\nif a < b: print("x")', "mode": 7})],
    [("write_file", {"path": "p", "tags": ["x", "y"]}), ("now", {})],
    [("now", {})],
    [("get.time-x", {"zone": "Europe/Riga"})],
]
EVERYDAY = frozenset(list(dialects.BY_NAME)[::12])
"""The families whose calls are read in the everyday tests; those of the others are read in the slow tests."""
EACH = pytest.mark.parametrize(
    "writer",
    [
        pytest.param(dialect, id=name, marks=[] if name in EVERYDAY else [pytest.mark.slow])
        for name, dialect in dialects.BY_NAME.items()
    ],
)


def written(writer: dialects.Dialect, turn: list[tuple[str, dict[str, Any]]], text: str = "") -> str:
    calls = [ToolCall(str(number), name, arguments) for number, (name, arguments) in enumerate(turn)]
    return text + "\n\n" * bool(text) + writer.encode_calls(calls) if writer.frame else writer.encode_turn(text, calls)


def calls_of(reading: Reading) -> list[tuple[str, dict[str, Any]]]:
    return [(part["call"], json.loads(part["arguments"])) for part in reading.parts if part.get("complete")]


def text_of(reading: Reading) -> str:
    return "".join(part.get("text", "") for part in reading.parts).strip()


def is_ambiguous(writer: dialects.Dialect, reader: dialects.Dialect) -> bool:
    """Whether the reader has another meaning for the writer's calls.

    Seed-OSS has the tags of Qwen3-Coder, but newlines around a value are part of the value. In the families with messages, a
    message to a tool may be any text.
    """
    if reader.frame and writer.frame:
        return reader is not writer
    return reader.name == "seed-oss" and writer.name in ("qwen3-coder", "qwen3.5", "nemotron-3", "step3.5")


@EACH
def test_calls_in_place_of_an_answer_are_recovered_in_every_other_dialect(writer: dialects.Dialect) -> None:
    for turn in TURNS:
        for text in ("", "I will look."):
            output = written(writer, turn, text)
            for reader in dialects.BY_NAME.values():
                if is_ambiguous(writer, reader) or (text and reader is writer and reader.frame):
                    continue
                reading = read(reader, [output], SCHEMAS)
                assert (calls_of(reading), text_of(reading)) == (turn, text), (reader.name, output)


@EACH
def test_recovered_calls_are_the_same_at_any_split(writer: dialects.Dialect) -> None:
    choose = random.Random(writer.name)
    for reader in choose.sample(list(dialects.BY_NAME.values()), 6):
        output = written(writer, choose.choice(TURNS), choose.choice(["", "I will look."]))
        whole = read(reader, [output], SCHEMAS)
        for pieces in (list(output), random_chunks(output, choose), random_chunks(output, choose)):
            assert read(reader, pieces, SCHEMAS) == whole, (reader.name, output)


@EACH
def test_undeclared_calls_are_not_recovered(writer: dialects.Dialect) -> None:
    for turn in TURNS:
        output = written(writer, turn)
        for reader in dialects.BY_NAME.values():
            assert calls_of(read(reader, [output], {"other": {"type": "object"}})) == [], (reader.name, output)
