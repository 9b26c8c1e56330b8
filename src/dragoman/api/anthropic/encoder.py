"""Encodes parts as stream events: the only code that opens and closes content blocks.

The encoder can only produce valid streams. It is always in one state: before the message, between blocks, inside a block of
one type, or after the end. `_LEGAL` is the whole grammar: which parts are allowed in which state. Any other part raises
`IllegalPart`, so that a generation that produces it fails in our tests and no client sees an invalid stream.

The encoder adds what parts leave implicit: text opens a text block, a call or reasoning closes the text block before it, the
ending closes the open block. Reasoning and calls have explicit end parts: reasoning needs its signature, a call may be cut.
Each call of a server tool is followed by its result, at any distance, and no result comes without its call (TOOL-15).
"""

from collections.abc import Callable, Sequence
from enum import IntEnum, auto
from typing import Any, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dragoman.api.anthropic.citations import citation_out
from dragoman.api.anthropic.context_management import AppliedEdits
from dragoman.api.anthropic.diagnostics import Diagnostics
from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.events import (
    CitationsDelta,
    CompactionDelta,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Delta,
    Event,
    FinalDelta,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from dragoman.api.anthropic.message import (
    BlockOut,
    CompactionOut,
    MessageOut,
    TextOut,
    ThinkingOut,
    TokenLogprob,
    ToolUseOut,
    Usage,
)
from dragoman.api.anthropic.server_blocks import call_block, result_block
from dragoman.api.pending_tokens import PendingTokens
from dragoman.conversation import TokenReport
from dragoman.conversation.signature import sign
from dragoman.errors import DragomanError
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


class IllegalPart(RuntimeError):
    """A generation produced parts in an order that no stream allows: a bug of ours."""


class _State(IntEnum):  # hashed without a Python call, unlike Enum: it is looked up for every part
    NEW = auto()
    BETWEEN = auto()
    THINKING = auto()
    TEXT = auto()
    CALL = auto()
    RESULT = auto()
    DONE = auto()


_ANY_BLOCK: frozenset[type] = frozenset(
    {Prefill, Tokens, Thinking, ThinkingEnd, Text, Cited, CallStart, ServerCallStart, ServerResult, Compacted, Ending}
)
_LEGAL: dict[_State, frozenset[type]] = {
    _State.NEW: frozenset(),
    _State.BETWEEN: _ANY_BLOCK,
    _State.THINKING: frozenset({Prefill, Tokens, Thinking, ThinkingEnd}),
    _State.TEXT: _ANY_BLOCK,
    _State.CALL: frozenset({Prefill, Tokens, CallDelta, CallEnd}),
    _State.RESULT: frozenset(),
    _State.DONE: frozenset(),
}


_EMPTY: dict[_State, Delta] = {
    _State.THINKING: ThinkingDelta(""),
    _State.TEXT: TextDelta(""),
    _State.CALL: InputJsonDelta(""),
}


class MessageEncoder:
    """Encodes one message: `start` first, then each part in order; the `Ending` is the last.

    Its beginning has the `diagnostics`, and its end the `edits` of the context, if there are any. A summary that was asked for
    has `tool_changes`. Tokens go with the next delta, whichever block that is in; those before the end of a block with an empty
    one.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- constructed once, by the endpoint
        self,
        message_id: str,
        model: str,
        diagnostics: Diagnostics | None = None,
        edits: AppliedEdits | UnsetType = UNSET,
        report: TokenReport = TokenReport(),  # noqa: B008 -- immutable
        tool_changes: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self._id = message_id
        self._model = model
        self._diagnostics = diagnostics
        self._edits = edits
        self._tool_changes = tool_changes
        self._state = _State.NEW
        self._index = -1
        self._tokens = PendingTokens(report)
        self._unanswered: set[str] = set()  # ids of the calls of server tools that have no result yet

    def start(self, counts: TokenCounts, prompt: PromptTokens | None = None) -> list[Event]:
        """Open the message. Its usage has the counts known so far, and an output of at least 1, as Anthropic's has (SSE-5)."""
        if self._state is not _State.NEW:
            raise IllegalPart("the message was started twice")
        self._state = _State.BETWEEN
        usage = Usage.of(replace(counts, output=max(counts.output, 1)))
        ids = UNSET if prompt is None else prompt.ids
        message = MessageOut(
            id=self._id, model=self._model, content=[], usage=usage, diagnostics=self._diagnostics, input_ids=ids
        )
        return [MessageStart(message)]

    def encode(self, part: Part) -> list[Event]:
        """The events of this part. Raises `IllegalPart`."""
        if type(part) is Text and self._state is _State.TEXT and not self._tokens.ids:  # nearly every part
            return [ContentBlockDelta(self._index, TextDelta(part.text))]
        self._check(part)
        match part:
            case Text(text):
                return [*self._enter(_State.TEXT, TextOut), self._delta(TextDelta(text))]
            case Cited() | Compacted() | ServerResult():
                return self._whole_block(part)
            case CallDelta(json):
                return [self._delta(InputJsonDelta(json))]
            case Thinking(text):
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(ThinkingDelta(text))]
            case ThinkingEnd(signature):  # hidden reasoning is a block that has only its signature (THK-8)
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(SignatureDelta(signature)), *self._leave()]
            case CallStart() | ServerCallStart():  # the first delta is empty, as Anthropic's is (SSE-11)
                return [*self._enter(_State.CALL, lambda: _call_block(part)), self._delta(InputJsonDelta(""))]
            case CallEnd():  # a cut call closes like a whole one (STOP-3)
                return [*self._rest(), *self._leave()]
            case Prefill():  # also in a call whose opening was written for an engine that does not enforce it
                return []
            case Tokens():
                self._tokens.add(part)
                return []
            case Ending(reason, _, stop_sequence):
                closing = [*self._rest(), *self._leave()]
                self._state = _State.DONE
                final = FinalDelta(stop_reason=reason.value, stop_sequence=stop_sequence)
                return [*closing, MessageDelta(final, _usage(part), self._edits, *self._taken()), MessageStop()]
            case _:
                assert_never(part)

    def _whole_block(self, part: Cited | Compacted | ServerResult) -> list[Event]:
        """The events of a block that is one part: it begins and ends with it."""
        match part:
            case Cited(text, citations):
                opening = [*self._leave(), *self._enter(_State.TEXT, TextOut)]
                deltas = [
                    self._delta(TextDelta(text)),
                    *(self._delta(CitationsDelta(citation_out(each))) for each in citations),
                ]
                return [*opening, *deltas, *self._leave()]
            case Compacted(content):
                opening = self._enter(_State.RESULT, lambda: self._compaction(content))
                return [*opening, self._delta(CompactionDelta(content)), *self._leave()]
            case ServerResult(_, call_id, output):
                return [*self._enter(_State.RESULT, lambda: result_block(call_id, output)), *self._leave()]

    def _compaction(self, content: str | None) -> CompactionOut:
        """The block of a summary, without its content."""
        if self._tool_changes is None:
            return CompactionOut()
        signature = UNSET if content is None else sign(content, shown=True)
        return CompactionOut(signature=signature, tool_changes=self._tool_changes)

    def _check(self, part: Part) -> None:
        """Raise `IllegalPart` unless this part may come now."""
        legal = type(part) in _LEGAL[self._state]
        if type(part) is ServerResult:
            legal = legal and part.call_id in self._unanswered
            self._unanswered.discard(part.call_id)
        elif type(part) is Ending:
            legal = legal and not self._unanswered
        if not legal:
            waiting = f" without results for {', '.join(self._unanswered)}" if self._unanswered else ""
            raise IllegalPart(f"{type(part).__name__} came while {self._state.name}{waiting}")
        if type(part) is ServerCallStart:
            self._unanswered.add(part.id)

    def ping(self) -> list[Event]:
        """A `ping` (SSE-19)."""
        return [Ping()]

    def fail(self, error: DragomanError, request_id: str) -> list[Event]:
        """The `error` event, which is the last one (SSE-17)."""
        return [ErrorBody.of(error, request_id)]

    def _delta(self, delta: Delta) -> ContentBlockDelta:
        if self._tokens.ids:
            return ContentBlockDelta(self._index, delta, *self._taken())
        return ContentBlockDelta(self._index, delta)

    def _taken(self) -> tuple[Sequence[int] | UnsetType, Sequence[TokenLogprob] | UnsetType]:
        """The tokens that no event has, as the fields of the next one."""
        if not self._tokens.ids:
            return UNSET, UNSET
        report = self._tokens.report
        ids, logprobs = self._tokens.take()
        pairs = [(each.logprob, token) for each, token in zip(logprobs, ids, strict=True)] if report.top is not None else UNSET
        return ids if report.ids else UNSET, pairs

    def _rest(self) -> list[Event]:
        """An empty delta for the tokens that no event has, if a block is open."""
        empty = _EMPTY.get(self._state)
        return [self._delta(empty)] if self._tokens.ids and empty is not None else []

    def _enter(self, state: _State, block: Callable[[], BlockOut]) -> list[Event]:
        """Change into a block of this type: close another open block and start this one, unless it is open already."""
        if self._state is state:
            return []
        events = self._leave()
        self._state = state
        self._index += 1
        events.append(ContentBlockStart(self._index, block()))
        return events

    def _leave(self) -> list[Event]:
        """Close the open block, if there is one."""
        if self._state is _State.BETWEEN:
            return []
        self._state = _State.BETWEEN
        return [ContentBlockStop(self._index)]


def _call_block(part: CallStart | ServerCallStart) -> BlockOut:
    return ToolUseOut(part.id, part.name) if isinstance(part, CallStart) else call_block(part)


def _usage(end: Ending) -> Usage:
    """The usage of the message; that of a compaction is beside it."""
    if end.compaction is None:
        return Usage.of(end.counts, end.uses)
    paused = end.reason is StopReason.COMPACTION
    return Usage.of(end.counts, end.uses, [end.compaction] if paused else [end.compaction, end.counts])
