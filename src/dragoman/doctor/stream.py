"""Reads event streams: an exact reader of events, and a lenient fold into a message.

The checks in `checks/streams.py` judge the single events; all others use the folded message.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.doctor.message import Message, read_message


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `name` is None without an `event:` line, `data` None if it is not a JSON object; `at` is its arrival time."""

    name: str | None
    data: dict[str, Any] | None
    payload: str
    at: float

    @property
    def type(self) -> str:
        """The `type` in the payload."""
        return str(self.data.get("type", "")) if self.data is not None else ""

    @property
    def index(self) -> int | None:
        """The `index` of its block."""
        return self.index_of("index")

    def index_of(self, key: str) -> int | None:
        """An index in the payload."""
        index = (self.data or {}).get(key)
        return index if isinstance(index, int) else None

    def inner(self, key: str) -> dict[str, Any]:
        """An object in the payload; empty if it is missing."""
        value = (self.data or {}).get(key)
        return value if isinstance(value, dict) else {}


class EventReader:
    """Splits bytes into events, however they arrive. It skips comments, as the standard says, and nothing else."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rest = b""

    def feed(self, data: bytes, at: float) -> None:
        """Add the bytes that arrived at `at`. An event without its empty line stays in `rest`."""
        *blocks, self.rest = (self.rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            event = _event(block.decode(errors="replace"), at)
            if event is not None:
                self.events.append(event)


def _event(block: str, at: float) -> Event | None:
    fields = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
    if not fields:
        return None
    named = [value.removeprefix(" ") for name, _, value in fields if name == "event"]
    payload = "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")
    try:
        data = json.loads(payload)
    except ValueError:
        data = None
    return Event(named[-1] if named else None, data if isinstance(data, dict) else None, payload, at)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as received so far. Times are of one monotonic clock: `began` is the request's, `now` that of this state.

    `rest` has the bytes after the last complete event.
    """

    status: int
    content_type: str
    began: float
    now: float
    events: Sequence[Event]
    rest: bytes

    @property
    def deltas(self) -> list[Event]:
        """The content deltas."""
        return [event for event in self.events if event.type == "content_block_delta"]

    @property
    def messages(self) -> list[Event]:
        """The events with a JSON object, without pings."""
        return [event for event in self.events if event.data is not None and event.type != "ping"]

    def of(self, kind: str) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if event.type == kind]

    def partial_json(self) -> dict[int | None, str]:
        """The streamed arguments by the index of their block."""
        arguments: dict[int | None, str] = {}
        for event in self.deltas:
            chunk = event.inner("delta").get("partial_json")
            if isinstance(chunk, str):
                arguments[event.index] = arguments.get(event.index, "") + chunk
        return arguments

    def fold(self) -> Message:
        """The message that a lenient client would build. Raises `CheckFailed` if it cannot be read."""
        message: dict[str, Any] = {}
        usage: dict[str, Any] = {}
        for event in self.events:
            if event.type == "message_start":
                message = {**event.inner("message")}
            if event.type == "message_delta":
                message |= event.inner("delta")
            for reported in (event.inner("message").get("usage"), event.inner("usage")):
                if isinstance(reported, dict):
                    usage |= {name: count for name, count in reported.items() if count is not None}
        return read_message({**message, "usage": usage, "content": list(self._blocks())})

    def _blocks(self) -> Iterator[dict[str, Any]]:
        blocks: dict[int | None, dict[str, Any]] = {}
        for event in self.events:
            index = event.index
            if event.type == "content_block_start":
                blocks[index] = {**event.inner("content_block")}
            elif event.type == "content_block_delta" and index in blocks:
                for name in ("text", "thinking", "signature"):
                    chunk = event.inner("delta").get(name)
                    if isinstance(chunk, str):
                        blocks[index][name] = str(blocks[index].get(name, "")) + chunk
        for index, written in self.partial_json().items():
            if index in blocks and written:
                try:
                    blocks[index]["input"] = json.loads(written)
                except ValueError:
                    blocks[index]["input"] = None
        yield from blocks.values()
