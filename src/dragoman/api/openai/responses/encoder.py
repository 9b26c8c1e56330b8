"""Encodes parts as the events of a response, and folds events into a whole response."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Final, assert_never

from msgspec.structs import replace

from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.logprobs import token_logprobs
from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.events import Event, Lifecycle
from dragoman.api.openai.responses.mcp_calls import RunningMcpCall
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
    ListedMcpTool,
    McpListItem,
    OutputItem,
    Reply,
    Response,
    ResponseError,
    Usage,
)
from dragoman.api.openai.responses.running_calls import RunningCall
from dragoman.api.openai.responses.tools import ToolName
from dragoman.api.openai.responses.web_search import RunningSearch
from dragoman.api.pending_tokens import PendingTokens
from dragoman.conversation import Tool
from dragoman.errors import ClientError, DragomanError
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Cited,
    Compacted,
    Ending,
    Part,
    Prefill,
    PromptTokens,
    ServerCallStart,
    ServerResult,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
    Tokens,
)
from dragoman.parts.server_tools import ServerToolKind

LIMITS = {
    StopReason.MAX_TOKENS: "max_output_tokens",
    StopReason.CONTEXT_WINDOW: "max_output_tokens",
    StopReason.PAUSE_TURN: "max_output_tokens",
    StopReason.COMPACTION: "max_output_tokens",
}
"""Why a response is incomplete, for the stop reasons of incomplete ones."""

Listings = Mapping[str, Sequence[Tool]]
"""The tools of MCP servers, by the labels of the servers."""
_RUNNING: Final[Mapping[ServerToolKind, Callable[..., RunningCall]]] = {
    ServerToolKind.WEB_SEARCH: RunningSearch,
    ServerToolKind.MCP: RunningMcpCall,
}
"""The items of the tools that the server runs in this format."""


class ResponseEncoder:
    """Encodes one response: `start` first, then each part in order; the `Ending` is the last.

    `now` returns the time in seconds since the epoch. `reply` is what is needed of the request, `response` the response so
    far. `sent` are the events so far, without those that keep a stream alive, if the response is to be stored.
    """

    def __init__(self, reply: Reply, now: Callable[[], int], listings: Listings = MappingProxyType({})) -> None:
        self.reply = reply
        self._now = now
        self._listings = listings
        self._numbers = count()
        self._open: OpenItem | None = None
        self._called: RunningCall | None = None  # the call of a server tool whose input is being written
        self._running: dict[str, RunningCall] = {}  # those without a result, by their call ids
        self._round = 0
        self._has_results = False  # whether this round of server tools has results already
        self._output: list[OutputItem] = []
        self._tokens = PendingTokens(reply.report)
        self._started = False
        self.sent: list[Event] = []
        self.response: Response = replace(reply.response, id=f"resp_{secrets.token_hex(12)}", created_at=now())

    def start(self, _: TokenCounts, prompt: PromptTokens | None = None) -> list[Event]:
        """The events that begin the response."""
        self._started = True
        begun = [self._lifecycle(events.Created), self._lifecycle(events.InProgress)]
        new = (label for label in self._listings if label not in self.reply.listed)
        return self._noted([*begun, *(event for label in new for event in self._list(label))])

    def encode(self, part: Part) -> list[Event]:
        """The events of this part."""
        return self._noted(list(self._encode(part)))

    def ping(self) -> list[Event]:
        """An event without content; none once the last events are made, which are sent after the response is stored."""
        return [] if self.response.status in (COMPLETED, INCOMPLETE) else [events.Keepalive(next(self._numbers))]

    def fail(self, error: DragomanError, _: str) -> list[Event]:
        """The events that end a response that failed; before its start, that is one `error` event."""
        if not self._started:
            return [events.ErrorEvent.of(error, next(self._numbers))]
        closing = list(self._leave(INCOMPLETE))
        for call in self._running.values():
            self._output[call.index] = replace(call.item, status="failed")
        fault = ResponseError(ErrorBody.of(error, "").error.code or _fault(error), error.message)
        self.response = replace(self.response, status="failed", error=fault, output=tuple(self._output))
        return [*closing, self._lifecycle(events.Failed)]

    def _noted(self, made: list[Event]) -> list[Event]:
        if self.response.store:
            self.sent += made
        return made

    def _encode(self, part: Part) -> Iterator[Event]:
        match part:
            case Tokens():
                self._tokens.add(part)
                return
            case Text() | Cited():
                yield from self._enter(OpenMessage, lambda: OpenMessage(_id("msg"), *self._place))
                yield from self._write(part)
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
                yield from self._end_call(COMPLETED if complete else INCOMPLETE)
            case Prefill() | Compacted():  # no request of this format asks for a compaction
                pass
            case Ending(reason, counts):
                yield from self._end(LIMITS.get(reason), Usage.of(counts))
            case ServerCallStart() | ServerResult():
                yield from self._server_call(part)
            case _:
                assert_never(part)
        if self._tokens:
            self._tokens.take()  # only text has log-probabilities

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

    def _end_call(self, status: str) -> Iterator[Event]:
        if self._called is None:
            yield from self._leave(status)
            return
        yield from self._called.close()
        self._called = None

    def _server_call(self, part: ServerCallStart | ServerResult) -> Iterator[Event]:
        """Begin or end a call of a server tool, whose item keeps its place while others are written."""
        yield from self._leave(COMPLETED)
        if isinstance(part, ServerResult):
            call = self._running.pop(part.call_id)
            yield from call.end(part.output)
            self._output[call.index] = call.item
            self._has_results = True
            return
        self._round += self._has_results
        self._has_results = False
        self._called = self._running[part.id] = _RUNNING[part.kind](part, len(self._output), self._round, self._numbers)
        self._output.append(self._called.item)
        yield from self._called.begin()

    def _list(self, label: str) -> Iterator[Event]:
        """List the tools of an MCP server in an item."""
        item, index = McpListItem(_id("mcpl"), label), len(self._output)
        yield events.ItemAdded(next(self._numbers), index, item)
        yield events.McpListInProgress(next(self._numbers), index, item.id)
        yield events.McpListCompleted(next(self._numbers), index, item.id)
        item = replace(item, tools=[ListedMcpTool(tool.name, tool.description, tool.schema) for tool in self._listings[label]])
        yield events.ItemDone(next(self._numbers), index, item)
        self._output.append(item)

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
        if self._called is not None:
            yield from self._called.add(text)
            return
        if self._open is None:
            raise ValueError("a part came before the item that it belongs to")
        yield from self._open.add(text)

    def _write(self, part: Text | Cited) -> Iterator[Event]:
        """Add text to the open message, with the log-probabilities of its tokens, and with what it cites."""
        assert isinstance(self._open, OpenMessage)
        yield from self._open.add(part.text, token_logprobs(self._tokens.take()[1]) if self._tokens else ())
        if isinstance(part, Cited):
            yield from self._open.cite(part.text, part.citations)

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
