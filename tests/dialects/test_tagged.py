"""Arguments that are not written as JSON become JSON with the same values."""

import json
import random
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.conversation import ToolCall
from dragoman.dialects import Dialect
from dragoman.dialects.spec import ElementArguments, JsonArguments, LiteralArguments, NameTag, TaggedArguments
from dragoman.parts import CallDelta, CallStart
from splits import random_chunks, same_at_every_split

from .reading import merge
from .test_parser import JSON

TAGGED = [
    dialect
    for dialect in dialects.BY_NAME.values()
    if dialect.calls is not None and not isinstance(dialect.calls.codec, JsonArguments)
]
EACH = pytest.mark.parametrize("dialect", TAGGED, ids=lambda dialect: dialect.name)

TYPES = {"null": type(None), "boolean": bool, "number": int | float, "string": str, "array": list, "object": dict}


def schema_of(value: Any) -> dict[str, Any]:
    """A schema that describes this value and all values in it."""
    kind = next(kind for kind, type_ in TYPES.items() if isinstance(value, type_))
    if kind == "object":
        return {"type": kind, "properties": {key: schema_of(inner) for key, inner in value.items()}}
    if kind == "array" and value:
        return {"type": kind, "items": {"anyOf": [schema_of(inner) for inner in value]}}
    return {"type": kind}


def fits_elements(value: Any) -> bool:
    """Whether a tree of elements with the schema determines this value."""
    match value:
        case dict():
            return bool(value) and all(re.fullmatch(r"\w+", key) and fits_elements(inner) for key, inner in value.items())
        case list():
            return len({type(inner) for inner in value}) == 1 and all(map(fits_elements, value))
        case _:
            return True


def read_calls(dialect: Dialect, pieces: list[str], schemas: dict[str, Any]) -> tuple[list[tuple[str, Any]], list[str]]:
    """The calls of an output that consists only of calls, and the repairs."""
    parser = dialect.parser(schemas, thinking_open=False)
    parts = [part for piece in pieces for part in parser.feed(piece)]
    merged = merge([*parts, *parser.finish(cut=False)])
    assert all(part["complete"] for part in merged), merged
    return [(part["call"], json.loads(part["arguments"])) for part in merged], parser.repairs


def markup_of(dialect: Dialect) -> list[str]:
    """The tags of a dialect that could end a value."""
    calls = dialect.calls
    assert calls is not None
    assert isinstance(calls.carrier, NameTag)
    tags = [*calls.opens, *calls.closes, calls.carrier.open, calls.carrier.close, *calls.carrier.skips]
    match calls.codec:
        case TaggedArguments() as codec:
            tags += [codec.open, codec.close, f"{codec.open}x{codec.end}", codec.value_open, "]]>" + codec.close]
        case ElementArguments() as codec:
            tags += [codec.open, codec.close.format("content"), codec.close.format("item")]
        case LiteralArguments(quote):
            tags += [quote, f"{quote}}}"]
    if dialect.frame:
        tags += [*dialect.frame.starts, *dialect.frame.ends, dialect.frame.header_end]
    return [tag for tag in tags if tag]


def is_ambiguous(dialect: Dialect, payload: str) -> bool:
    """Whether it contains a closer that is confirmed by what follows, and cannot be distinguished from the real one.

    Half a call, which is part of the value up to its other half, is ambiguous as well if more calls follow.
    """
    tags = [
        *markup_of(dialect),
        "<param",
        "parameter",
        "|open",
        "arg_key",
        "steptml:",
        "atem:",
        "DSML",
        "]",
        "}",
        ",",
        ":",
        "=",
        ")",
    ]
    closers = [tag for tag in markup_of(dialect) if tag not in openers_of(dialect)]
    calls = dialect.calls
    assert calls is not None
    assert isinstance(calls.carrier, NameTag)
    begun = re.escape(calls.open) + r"\s*" + re.escape(calls.carrier.open)
    doubles_an_opener = isinstance(calls.codec, TaggedArguments) and bool(
        calls.codec.value_open and payload.startswith((calls.codec.value_open, f"{calls.codec.open}content{calls.codec.end}"))
    )
    quotes_half_a_call = calls.open != "" and re.search(begun, payload) is not None
    ends = tuple(closers)
    return (
        quotes_half_a_call
        or doubles_an_opener
        or payload.rstrip().endswith(ends)  # a closer written twice
        or bool(re.search(rf"({'|'.join(map(re.escape, closers))})\s*({'|'.join(map(re.escape, tags))})", payload))
    )


def openers_of(dialect: Dialect) -> tuple[str, ...]:
    """The tags of a dialect that do not end anything."""
    calls = dialect.calls
    assert calls is not None
    assert isinstance(calls.carrier, NameTag)
    inner = (calls.codec.open,) if isinstance(calls.codec, TaggedArguments | ElementArguments) else ()
    return (*calls.opens, calls.carrier.open, *inner)


def payloads(dialect: Dialect) -> st.SearchStrategy[str]:
    """Strings made of the dialect's own markup, of characters that need escapes in other formats, and of any text."""
    awkward = ["\n", "\r\n", "\\", '"', "'", "'''", "\t", "]", "}", ",", " ", "None", "007", "\\n", "\\u00e9", "<", "</"]
    piece = st.sampled_from(markup_of(dialect) + awkward) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    return st.lists(piece, max_size=8).map("".join).filter(lambda payload: not is_ambiguous(dialect, payload))


@pytest.mark.clause("TOOL-17")
@given(st.sampled_from(TAGGED), st.data(), st.integers(0, 99))
def test_a_string_arrives_byte_for_byte(dialect: Dialect, data: st.DataObject, seed: int) -> None:
    payload = data.draw(payloads(dialect))
    arguments = {"path": "a.txt", "content": payload, "mode": "w"}
    schemas = {"write": schema_of(arguments), "now": {}}
    output = dialect.encode_calls([ToolCall("1", "write", arguments), ToolCall("2", "now", {})])

    for pieces in ([output], list(output), random_chunks(output, random.Random(seed))):
        calls, repairs = read_calls(dialect, pieces, schemas)
        assert calls == [("write", arguments), ("now", {})]
        assert repairs == []


@pytest.mark.clause("TOOL-17")
@given(st.sampled_from(TAGGED), st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True), JSON, max_size=4))
@pytest.mark.clause("CC-9")
def test_values_have_the_types_of_the_schema(dialect: Dialect, arguments: dict[str, Any]) -> None:
    assume(not is_ambiguous(dialect, json.dumps(arguments)))
    assume(fits_elements(arguments) or not isinstance(dialect.calls and dialect.calls.codec, ElementArguments))
    output = dialect.encode_calls([ToolCall("1", "add", arguments)])

    calls, _ = read_calls(dialect, [output], {"add": schema_of(arguments)})

    assert calls == [("add", arguments)]


@EACH
def test_a_call_reads_the_same_at_every_split(dialect: Dialect) -> None:
    arguments = {"content": "</x> é\n\n'\"\\n", "count": -2, "on": True, "tags": ["a", "b"], "options": {"k": 1.5}}
    output = dialect.encode_calls([ToolCall("1", "write", arguments), ToolCall("2", "now", {})])

    calls, repairs = same_at_every_split(
        lambda pieces: read_calls(dialect, list(pieces), {"write": schema_of(arguments), "now": {}}), output
    )

    assert calls == [("write", arguments), ("now", {})]
    assert repairs == []


@EACH
@pytest.mark.clause("SSE-10")
def test_strings_stream_as_they_arrive(dialect: Dialect) -> None:
    parser = dialect.parser({"write": schema_of({"content": ""})}, thinking_open=False)
    output = dialect.encode_calls([ToolCall("1", "write", {"content": "one two three four five six"})])
    start = output.index("two")

    parts = parser.feed(output[:start])
    assert CallStart("write", "0" if dialect.name == "command-a-plus-xml" else "") in parts
    assert "".join(part.json for part in parts if isinstance(part, CallDelta)) == '{"content": "one '
    assert parser.feed(output[start : start + 3]) == [CallDelta("two")]


@EACH
@pytest.mark.clause("STOP-3")
def test_a_cut_call_is_never_complete(dialect: Dialect) -> None:
    output = dialect.encode_calls([ToolCall("1", "write", {"content": "x\n</a>", "count": 12})])
    schemas = {"write": schema_of({"content": "", "count": 1})}
    whole = dialect.parser(schemas, thinking_open=False)
    written = merge([*whole.feed(output), *whole.finish(cut=False)])[0]["arguments"]

    for end in range(len(output)):
        parser = dialect.parser(schemas, thinking_open=False)
        parts = merge([*parser.feed(output[:end]), *parser.finish(cut=True)])
        call = next((part for part in parts if "call" in part), None)
        if call is not None:
            assert written.startswith(call["arguments"])
            assert call["complete"] is (call["arguments"] == written)
