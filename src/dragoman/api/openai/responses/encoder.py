"""Encodes parts as the events of a response, and folds events into a whole response."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import assert_never

from msgspec.structs import replace

from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.events import Event, Lifecycle
from dragoman.api.openai.responses.open_items import (
    COMPLETED,
    INCOMPLETE,
    OpenCustomCall,
    OpenFunctionCall,
    OpenItem,
    OpenMessage,
    OpenReasoning,
)
from dragoman.api.openai.responses.response import (
    IncompleteDetails,
    OutputItem,
    Reply,
    Response,
    ResponseError,
    Usage,
)
from dragoman.api.openai.responses.tools import ToolName
from dragoman.errors import ClientError, DragomanError
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)

LIMITS = {StopReason.MAX_TOKENS: "max_output_tokens", StopReason.CONTEXT_WINDOW: "max_output_tokens"}
"""Why a response is incomplete, for the stop reasons of incomplete ones."""


class ResponseEncoder:
    """Encodes one response: `start` first, then each part in order; the `Ending` is the last.

    `now` returns the time in seconds since the epoch. `reply` is what is needed of the request, `response` the response so
    far.
    """

    def __init__(self, reply: Reply, now: Callable[[], int]) -> None:
        self.reply = reply
        self._now = now
        self._numbers = count()
        self._open: OpenItem | None = None
        self._output: list[OutputItem] = []
        self._started = False
        self.response: Response = replace(reply.response, id=f"resp_{secrets.token_hex(12)}", created_at=now())

    def start(self, _: TokenCounts) -> list[Event]:
        """The events that begin the response."""
        self._started = True
        return [self._lifecycle(events.Created), self._lifecycle(events.InProgress)]

    def encode(self, part: Part) -> list[Event]:
        """The events of this part."""
        return list(self._encode(part))

    def ping(self) -> list[Event]:
        """An event without content; none once the last events are made, which are sent after the response is stored."""
        return [] if self.response.status in (COMPLETED, INCOMPLETE) else [events.Keepalive(next(self._numbers))]

    def fail(self, error: DragomanError, _: str) -> list[Event]:
        """The events that end a response that failed; before its start, that is one `error` event."""
        if not self._started:
            return [events.ErrorEvent.of(error, next(self._numbers))]
        closing = list(self._leave(INCOMPLETE))
        fault = ResponseError(ErrorBody.of(error, "").error.code or _fault(error), error.message)
        self.response = replace(self.response, status="failed", error=fault, output=tuple(self._output))
        return [*closing, self._lifecycle(events.Failed)]

    def _encode(self, part: Part) -> Iterator[Event]:
        match part:
            case Text(text):
                yield from self._enter(OpenMessage, lambda: OpenMessage(_id("msg"), *self._place))
                yield from self._add(text)
            case Thinking(text):
                yield from self._reason()
                yield from self._add(text)
            case ThinkingEnd():
                yield from self._reason()
                yield from self._leave(COMPLETED)
            case CallStart(name, identifier):
                yield from self._call(self.reply.names.get(name, ToolName(name)), identifier)
            case CallDelta(json):
                yield from self._add(json)
            case CallEnd(complete):
                yield from self._leave(COMPLETED if complete else INCOMPLETE)
            case Prefill():
                pass
            case Ending(reason, counts):
                yield from self._end(LIMITS.get(reason), Usage.of(counts))
            case _:
                assert_never(part)

    def _end(self, limit: str | None, usage: Usage) -> Iterator[Event]:
        """The last events. `limit`: the response is incomplete for this reason."""
        yield from self._leave(INCOMPLETE if limit else COMPLETED)
        self.response = replace(
            self.response,
            status=INCOMPLETE if limit else COMPLETED,
            completed_at=None if limit else self._now(),
            incomplete_details=IncompleteDetails(limit) if limit else None,
            output=tuple(self._output),
            usage=usage,
        )
        yield self._lifecycle(events.Incomplete if limit else events.Completed)

    def _reason(self) -> Iterator[Event]:
        summarized = self.reply.summarized
        return self._enter(OpenReasoning, lambda: OpenReasoning(_id("rs"), *self._place, summarized=summarized))

    def _call(self, name: ToolName, call_id: str) -> Iterator[Event]:
        kind = OpenCustomCall if name.custom else OpenFunctionCall
        return self._enter(kind, lambda: kind(call_id, name, *self._place))

    @property
    def _place(self) -> "tuple[int, count[int]]":
        return len(self._output), self._numbers

    def _enter(self, kind: type[OpenItem], item: Callable[[], OpenItem]) -> Iterator[Event]:
        """End an open item of another kind and begin this one, unless it is open already."""
        if isinstance(self._open, kind):
            return
        yield from self._leave(COMPLETED)
        self._open = item()
        yield from self._open.begin()

    def _add(self, text: str) -> Iterator[Event]:
        if self._open is None:
            raise ValueError("a part came before the item that it belongs to")
        yield from self._open.add(text)

    def _leave(self, status: str) -> Iterator[Event]:
        """End the open item, if there is one."""
        if self._open is not None:
            yield from self._open.end(status)
            self._output.append(self._open.item)
            self._open = None

    def _lifecycle(self, kind: type[Lifecycle]) -> Event:
        return kind(next(self._numbers), self.response)


def fold(stream: Iterable[Event]) -> Response:
    """The whole response: its last event has all of it. Raises `ValueError` for a stream without its end."""
    whole = [event.response for event in stream if isinstance(event, events.Completed | events.Incomplete)]
    if not whole:
        raise ValueError("a response needs a stream that ends with it")
    return whole[-1]


def _fault(error: DragomanError) -> str:
    return "invalid_prompt" if isinstance(error, ClientError) else "server_error"


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
