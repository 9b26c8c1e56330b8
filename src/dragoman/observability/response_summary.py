"""Summaries of responses, which can be compared although models sample: status, stop reason, blocks and their lengths."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_EVENTS = "text/event-stream"
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""The types of delta, and the field of each that grows."""


@dataclass(frozen=True, slots=True)
class ResponseSummary:
    """A response without its text.

    `shape` names the blocks in order, a call with its tool, and an error with its type at the end. `lengths` are the characters
    of each block: text, reasoning, arguments as JSON. `whole` is false for a stream that was cut.
    """

    status: int
    stop_reason: str | None = None
    shape: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True

    @property
    def summary(self) -> str:
        """The summary as text: status, stop reason, blocks."""
        blocks = ", ".join(f"{name} {length}" for name, length in zip(self.shape, self.lengths, strict=True))
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return "  ".join(word for word in (str(self.status or "no answer"), self.stop_reason, blocks, counts) if word)


def summarize(status: int, content_type: str, body: bytes, *, whole: bool = True) -> ResponseSummary:
    """Summarize a response, streamed or not. One that is not of this API has only a status."""
    try:
        if content_type.startswith(_EVENTS):
            return _of_events(status, _events(body), whole=whole)
        return _of_answer(status, json.loads(body), whole=whole)
    except (ValueError, LookupError, TypeError, AttributeError):
        return ResponseSummary(status, whole=whole)


def _of_answer(status: int, answer: Mapping[str, Any], *, whole: bool) -> ResponseSummary:
    match answer.get("type"):
        case "message":
            blocks = answer["content"]
            return ResponseSummary(
                status, answer["stop_reason"], tuple(map(_name, blocks)), tuple(map(_length, blocks)), whole=whole
            )
        case "error":
            return ResponseSummary(status, None, (_error(answer),), (len(answer["error"]["message"]),), whole=whole)
        case _:
            counts = {name: value for name, value in answer.items() if name == "input_tokens"}
            return ResponseSummary(status, counts=counts, whole=whole)


def _of_events(status: int, events: Iterable[Mapping[str, Any]], *, whole: bool) -> ResponseSummary:
    shape: list[str] = []
    lengths: list[int] = []
    stop_reason = None
    for event in events:
        match event["type"]:
            case "content_block_start":
                shape.append(_name(event["content_block"]))
                lengths.append(0)
            case "content_block_delta" if event["delta"]["type"] in _DELTAS:
                lengths[event["index"]] += len(event["delta"][_DELTAS[event["delta"]["type"]]])
            case "message_delta":
                stop_reason = event["delta"]["stop_reason"]
            case "error":
                shape.append(_error(event))
                lengths.append(len(event["error"]["message"]))
            case _:
                pass
    return ResponseSummary(status, stop_reason, tuple(shape), tuple(lengths), whole=whole)


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the complete events."""
    for line in body.decode(errors="replace").split("\n")[:-1]:
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def _name(block: Mapping[str, Any]) -> str:
    return f"{block['type']}({block['name']})" if "name" in block else str(block["type"])


def _length(block: Mapping[str, Any]) -> int:
    match block["type"]:
        case "text":
            return len(block["text"])
        case "thinking":
            return len(block["thinking"])
        case _:
            return len(json.dumps(block.get("input"), ensure_ascii=False, separators=(",", ":")))


def _error(answer: Mapping[str, Any]) -> str:
    return f"error({answer['error']['type']})"
