"""Event streams: a reader that hides nothing, and a fold that forgives everything.

The checks of `checks/streams.py` judge the events one by one; everybody else only wants to know what was said.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.doctor.message import Message, read_message


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `name` is None without an `event:` line, `data` None where it is not a JSON object; `at` is when it came."""

    name: str | None
    data: dict[str, Any] | None
    payload: str
    at: float

    @property
    def type(self) -> str:
        """What the payload says that it is."""
        return str(self.data.get("type", "")) if self.data is not None else ""

    @property
    def index(self) -> int | None:
        """The block that it is about."""
        index = (self.data or {}).get("index")
        return index if isinstance(index, int) else None

    def inner(self, key: str) -> dict[str, Any]:
        """An object in the payload; empty where there is none."""
        value = (self.data or {}).get(key)
        return value if isinstance(value, dict) else {}


class EventReader:
    """Bytes in, events out, however the bytes arrive. Comments are skipped, as the standard has it; nothing else is."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rest = b""

    def feed(self, data: bytes, at: float) -> None:
        """Take what came at that moment. What no empty line has ended stays in `rest`."""
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
    """What came so far. Times are of one monotonic clock: `began` when it was asked for, `now` when this was looked at.

    `rest` are the bytes behind the last event that was ended by an empty line.
    """

    status: int
    content_type: str
    began: float
    now: float
    events: Sequence[Event]
    rest: bytes

    @property
    def deltas(self) -> list[Event]:
        """The pieces of content."""
        return [event for event in self.events if event.type == "content_block_delta"]

    @property
    def said(self) -> list[Event]:
        """Everything but pings, and what is no event at all."""
        return [event for event in self.events if event.data is not None and event.type != "ping"]

    def of(self, kind: str) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if event.type == kind]

    def partial_json(self) -> dict[int | None, str]:
        """The arguments as they were streamed, by the index of their block."""
        pieces: dict[int | None, str] = {}
        for event in self.deltas:
            piece = event.inner("delta").get("partial_json")
            if isinstance(piece, str):
                pieces[event.index] = pieces.get(event.index, "") + piece
        return pieces

    def fold(self) -> Message:
        """The message that a forgiving client would make of it. Raises `CheckFailed` where even that fails."""
        message: dict[str, Any] = {}
        usage: dict[str, Any] = {}
        for event in self.events:
            if event.type == "message_start":
                message = {**event.inner("message")}
            if event.type == "message_delta":
                message |= event.inner("delta")
            for told in (event.inner("message").get("usage"), event.inner("usage")):
                if isinstance(told, dict):
                    usage |= {name: count for name, count in told.items() if count is not None}
        return read_message({**message, "usage": usage, "content": list(self._blocks())})

    def _blocks(self) -> Iterator[dict[str, Any]]:
        blocks: dict[int | None, dict[str, Any]] = {}
        for event in self.events:
            index = event.index
            if event.type == "content_block_start":
                blocks[index] = {**event.inner("content_block")}
            elif event.type == "content_block_delta" and index in blocks:
                for name in ("text", "thinking", "signature"):
                    piece = event.inner("delta").get(name)
                    if isinstance(piece, str):
                        blocks[index][name] = str(blocks[index].get(name, "")) + piece
        for index, written in self.partial_json().items():
            if index in blocks and written:
                try:
                    blocks[index]["input"] = json.loads(written)
                except ValueError:
                    blocks[index]["input"] = None
        yield from blocks.values()
