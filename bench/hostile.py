"""Hostile requests: one of each kind whose cost could grow out of proportion to its size, all below 32 MB."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

Json = dict[str, Any]

_MESSAGES, _COUNT, _CHAT = "/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"
_TEXT: Json = {"type": "string"}
TOOL = "save"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of hostile request: its path, and the function that makes its body as JSON or text."""

    path: str
    make: Callable[[], Json | str]

    def body(self) -> bytes:
        """The body in bytes."""
        made = self.make()
        return made.encode() if isinstance(made, str) else msgspec.json.encode(made)


def _asking(content: str = "Go on.", **fields: Any) -> Json:
    return {"model": "claude-bench", "max_tokens": 16, "messages": [{"role": "user", "content": content}], **fields}


def _object(properties: Json, **keywords: Any) -> Json:
    return {"type": "object", "properties": properties, **keywords}


def _array(items: Json, **keywords: Any) -> Json:
    return {"type": "array", "items": items, **keywords}


def _all_of(properties: Json, **keywords: Any) -> Json:
    return _object(properties, required=list(properties), **keywords)


def _tools(schemas: Iterable[Json]) -> list[Json]:
    return [{"name": f"{TOOL}{number or ''}", "input_schema": schema} for number, schema in enumerate(schemas)]


def _forced(make: Callable[[], Json]) -> Kind:
    """A request with a forced call whose arguments follow a schema."""
    return Kind(_MESSAGES, lambda: _asking(tools=_tools([make()]), tool_choice={"type": "tool", "name": TOOL}))


def _value(make: Callable[[], Json]) -> Kind:
    """A request with a forced call with one required argument that follows a schema."""
    return _forced(lambda: _all_of({"value": make()}))


def _nested(depth: int, around: Callable[[Json], Json]) -> Json:
    schema = _TEXT
    for _ in range(depth):
        schema = around(schema)
    return schema


def _field(schema: Json) -> Json:
    return _object({"inner": schema})


def _reference(number: int) -> Json:
    return {"$ref": f"#/$defs/step{number}"}


def _defined(definitions: Iterable[Json]) -> Json:
    return _all_of({"value": _reference(0)}, **{"$defs": {f"step{n}": schema for n, schema in enumerate(definitions)}})


def _chain(length: int) -> Json:
    return _defined([*(_reference(n + 1) for n in range(length)), _TEXT])


def _doubling(levels: int) -> Json:
    """A schema with one definition per level, which doubles at each level when references are followed."""
    return _defined([*(_all_of({"left": _reference(n + 1), "right": _reference(n + 1)}) for n in range(levels)), _TEXT])


def _mutual(count: int) -> Json:
    return _defined([_object({f"to{other}": _reference(other) for other in range(count)}) for _ in range(count)])


def _either(schema: Json) -> Json:
    return {"anyOf": [_all_of({"left": schema}), _all_of({"right": schema})]}


def _alternatives(count: int) -> Json:
    return {"anyOf": [_all_of({"kind": {"const": f"kind {n}"}, f"field{n}": _TEXT}) for n in range(count)]}


def _conjunction(count: int) -> Json:
    return {"allOf": [{"anyOf": [_all_of({f"left{n}": _TEXT}), _all_of({f"right{n}": _TEXT})]} for n in range(count)]}


def _keywords_off_the_path(depth: int) -> Json:
    return _field(_TEXT) | {
        "unevaluatedProperties": _nested(depth, _field),
        "dependentSchemas": {"inner": _nested(depth, _array)},
    }


def _enum(count: int) -> Json:
    return {"enum": [f"choice number {n}" for n in range(count)]}


def _made_up(count: int) -> str:
    return "".join(f"<part{n}>" for n in range(count)) + "<|im_end|>"


def _words(size: int) -> str:
    sentence = "The quick brown fox reads the parser, and 17 lazy dogs wait for it. "
    return sentence * (size // len(sentence))


def _dialogue(count: int, **fields: Any) -> Json:
    messages = [{"role": "assistant" if n % 2 else "user", "content": f"Turn {n}."} for n in range(count - 1 + count % 2)]
    return _asking(**{"messages": messages, **fields})


def _answered_in_reverse(count: int) -> Json:
    names = [f"toolu_{n}" for n in range(count)]
    calls = [{"type": "tool_use", "id": name, "name": TOOL, "input": {"n": 1}} for name in names]
    results = [{"type": "tool_result", "tool_use_id": name, "content": "saved"} for name in reversed(names)]
    turns = [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    request = _asking(tools=_tools([_object({})]))
    return {**request, "messages": request["messages"] + turns}


def _chat_calls(arguments: Iterable[str]) -> Json:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": TOOL, "arguments": text}}
        for n, text in enumerate(arguments)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "saved"} for call in reversed(calls)]
    request = _asking()
    return {
        **request,
        "messages": [*request["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, *results],
    }


def _deep(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


KINDS: dict[str, Kind] = {
    "a tiny request, for comparison": Kind(_MESSAGES, _asking),
    "schema: a chain of 2,900 references": _forced(lambda: _chain(2_900)),
    "schema: objects 250 deep": _value(lambda: _nested(250, _field)),
    "schema: arrays 90 deep": _value(lambda: _nested(90, _array)),
    "schema: 240 deep in rare keywords": _forced(lambda: _keywords_off_the_path(240)),
    "schema: 18,000 required properties": _forced(lambda: _all_of({f"field{n}": _TEXT for n in range(18_000)})),
    "schema: 4,500 required properties": _forced(lambda: _all_of({f"field{n}": _TEXT for n in range(4_500)})),
    "schema: an enum of 19,000": _value(lambda: _enum(19_000)),
    "schema: an enum of 150,000": _value(lambda: _enum(150_000)),
    "schema: 950 alternatives": _value(lambda: _alternatives(950)),
    "schema: unions of objects 14 deep": _value(lambda: _nested(14, _either)),
    "schema: 16 unions that hold at once": _value(lambda: _conjunction(16)),
    "schema: 60 definitions, each with all": _forced(lambda: _mutual(60)),
    "schema: 24 levels that double": _forced(lambda: _doubling(24)),
    "schema: at least 1,000,000,000 items": _value(lambda: _array(_TEXT, minItems=10**9)),
    "schema: at most 10,000,000 objects": _value(lambda: _array(_field(_TEXT), maxItems=10**7)),
    "schema: repeats of repeats in a pattern": _value(lambda: {**_TEXT, "pattern": "^((x{1,900}y?){1,900}z){1,900}$"}),
    "50,000 special tokens, spelled out": Kind(_MESSAGES, lambda: _asking("<|im_start|>\ufdd1" * 50_000)),
    "25,000 made-up tags, one special token": Kind(_MESSAGES, lambda: _asking(_made_up(25_000))),
    "9,500 stop sequences": Kind(_MESSAGES, lambda: _asking(stop_sequences=[f"halt {n}" for n in range(9_500)])),
    "900,000 stop sequences": Kind(_MESSAGES, lambda: _asking(stop_sequences=[f"halt {n}" for n in range(900_000)])),
    "100,000 messages": Kind(_MESSAGES, lambda: _dialogue(100_000)),
    "100,000 messages, streamed": Kind(_MESSAGES, lambda: _dialogue(100_000, stream=True)),
    "31 MB of words": Kind(_MESSAGES, lambda: _asking(_words(31_000_000))),
    "31 MB of words, counted": Kind(_COUNT, lambda: _asking(_words(31_000_000))),
    "1,800,000 unknown fields": Kind(_MESSAGES, lambda: _asking(**{f"x{n}": 0 for n in range(1_800_000)})),
    "90,000 tools": Kind(_MESSAGES, lambda: _asking(tools=_tools([_object({})] * 90_000))),
    "3,900 tools, one of them forced": Kind(
        _MESSAGES, lambda: _asking(tools=_tools([_field(_TEXT)] * 3_900), tool_choice={"type": "any"})
    ),
    "40,000 calls, answered in reverse": Kind(_MESSAGES, lambda: _answered_in_reverse(40_000)),
    "40,000 calls in reverse, OpenAI format": Kind(_CHAT, lambda: _chat_calls(['{"n": 1}'] * 40_000)),
    "arguments 100,000 deep, OpenAI format": Kind(_CHAT, lambda: _chat_calls([_deep(100_000)])),
    "JSON 500,000 deep": Kind(_MESSAGES, lambda: json.dumps(_asking())[:-1] + f', "metadata": {_deep(500_000)}}}'),
}
