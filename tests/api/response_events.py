"""Events of the Responses API for tests: encoding parts, checking events against the SDK's types, and folding their deltas."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from dragoman.api.openai.responses.encoder import ResponseEncoder, fold
from dragoman.api.openai.responses.events import Event, frame
from dragoman.api.openai.responses.response import Reply
from dragoman.api.openai.responses.response import Response as OurResponse
from dragoman.api.openai.responses.tools import ToolName
from dragoman.parts import Part, TokenCounts

JsonObject = dict[str, Any]
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_RANDOM = re.compile(r"_[0-9a-f]{24}")
REPLY = Reply(OurResponse(model="m"), {"patch": ToolName("patch", custom=True), "crm__find": ToolName("find", "crm")})
SUMMARIZED = Reply(REPLY.response, REPLY.names, summarized=True)


def encode(parts: Iterable[Part], reply: Reply = REPLY) -> list[Event]:
    """All events of a response."""
    encoder = ResponseEncoder(reply, lambda: 5)
    return [*encoder.start(TokenCounts(7)), *(event for part in parts for event in encoder.encode(part))]


def sent(events: Iterable[Event]) -> list[JsonObject]:
    """The events as a client reads them; each is valid for the SDK, is named by its type and has the next number."""
    found = []
    for number, event in enumerate(events):
        name, data = frame(event).decode().removesuffix("\n\n").split("\n")
        read = json.loads(data.removeprefix("data: "))
        assert name == f"event: {read['type']}"
        assert read["sequence_number"] == number
        _EVENT.validate_python(read, strict=True)
        found.append(read)
    return found


def whole(events: Sequence[Event]) -> JsonObject:
    """The unstreamed answer, valid for the SDK, without what is random."""
    body = msgspec.json.encode(fold(events)).decode()
    Response.model_validate_json(body, strict=True)
    return anonymous(body)


def anonymous(body: str) -> JsonObject:
    """A body without the random parts of its ids."""
    found: JsonObject = json.loads(_RANDOM.sub("_…", body))
    return found


_PARTS = {"content_part": "content", "reasoning_summary_part": "summary"}
_TEXTS = {"output_text": "content", "reasoning_text": "content", "reasoning_summary_text": "summary"}
_FIELDS = {"function_call_arguments": "arguments", "custom_tool_call_input": "input"}
"""The fields of an item that events change, by the beginning of the event's type."""


def collected(events: Sequence[JsonObject]) -> list[JsonObject]:
    """The output, put together from the deltas alone, and compared with what the events say at the end of each item."""
    items: list[JsonObject] = []
    for event in events:
        kind, _, step = event["type"].removeprefix("response.").partition(".")
        if kind == "output_item" and step == "added":
            assert event["output_index"] == len(items)
            items.append(event["item"])
        elif kind == "output_item":
            final = {name: event["item"].get(name) for name in ("status", "encrypted_content")}
            items[-1] |= {name: value for name, value in final.items() if value is not None}
            assert items[-1] == event["item"]
        elif kind in _PARTS:
            parts = items[-1].setdefault(_PARTS[kind], [])
            parts += [event["part"]] if step == "added" else []
            assert parts[-1] == event["part"]
        elif kind in _TEXTS:
            part = items[-1][_TEXTS[kind]][-1]
            part["text"] += event.get("delta", "")
            assert event.get("text", part["text"]) == part["text"]
        elif kind in _FIELDS:
            name = _FIELDS[kind]
            items[-1][name] += event.get("delta", "")
            assert event.get(name, items[-1][name]) == items[-1][name]
    return items
