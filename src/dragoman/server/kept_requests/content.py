"""The content of a kept request in the form that the page shows: prompt by segments, answers by parts, times of events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from dragoman.constraints import readable
from dragoman.constraints.tree import Constraint
from dragoman.observability.details import AnswerDetails, Details, PromptText
from dragoman.observability.recent import RecentRequest, RequestSummary
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Cited,
    Compacted,
    Ending,
    Part,
    Prefill,
    ServerCallStart,
    ServerResult,
    Text,
    Thinking,
    ThinkingEnd,
    Tokens,
)
from dragoman.server.models.served_model import ServedModel


class Segment(Struct, frozen=True):
    """A segment of the prompt, from special token to special token, cut where the engine's cache ended.

    `reused` of its `tokens` were in the cache; both are null if the model is not loaded any more, `reused` also while unknown.
    """

    text: str
    tokens: int | None
    reused: int | None


class ShownPrompt(Struct, frozen=True):
    """A prompt. `before` is the prompt that it should begin with, null if there is none."""

    segments: Sequence[Segment]
    tokens: int
    before: str | None


class ShownPart(Struct, frozen=True, omit_defaults=True):
    """A block of the answer as it was read. `text` has the arguments of a call; `whole` is false for one that was cut."""

    kind: str
    text: str
    name: str = ""
    whole: bool = True


class ShownEvent(Struct, frozen=True, array_like=True):
    """A part that was read, and when, in seconds since the request arrived. `size` is in characters, of a prefill in tokens."""

    seconds: float
    kind: str
    size: int


class ShownAnswer(Struct, frozen=True):
    """One choice: raw output, the parts read from it, and when each was read. `constraint` is text, null for none."""

    written: str
    parts: Sequence[ShownPart]
    events: Sequence[ShownEvent]
    constraint: str | None


class RequestContent(Struct, frozen=True):
    """A kept request with its content. `removed` are the names of headers that are not kept; the body is sent apart."""

    summary: RequestSummary
    method: str
    target: str
    headers: Mapping[str, str]
    removed: Sequence[str]
    prompt: ShownPrompt | None
    answers: Sequence[ShownAnswer]


def content_of(request: RecentRequest, details: Details, segments: Sequence[Segment]) -> RequestContent:
    """Return the content of a request. Called in a thread: large answers have many parts."""
    prompt = details.prompt
    return RequestContent(
        request.summary,
        request.record.method,
        details.target,
        details.headers,
        details.removed,
        ShownPrompt(segments, prompt.tokens, prompt.before) if prompt else None,
        [_answer(answer, request.record.began) for answer in details.answers],
    )


async def segments_of(prompt: PromptText, model: ServedModel | None, cached: int | None) -> Sequence[Segment]:
    """Return the segments of a prompt; all of it is one if the model is not loaded. Raises what its tokenizer raises.

    `cached` is the number of tokens that were in the engine's cache, None if that is not known.
    """
    if model is None:
        return [Segment(prompt.text, None, None)]
    found = await model.prompts.segments(prompt.escaped or prompt.text, prompt.sentinel, prompt.images, cached or 0)
    return [Segment(each.text, each.tokens, None if cached is None else each.reused) for each in found]


def _answer(answer: AnswerDetails, began: float) -> ShownAnswer:
    times, parts = list(answer.times), list(answer.parts)
    timed = ((time, _event(part)) for time, part in zip(times, parts, strict=False))
    events = [ShownEvent(round(time - began, 4), *event) for time, event in timed if event is not None]
    constraint = answer.constraint
    shown = readable.written(constraint) if isinstance(constraint, Constraint) else None
    return ShownAnswer(answer.written, list(blocks(parts)), events, shown)


def _event(part: Part) -> tuple[str, int] | None:
    """The kind and the size of the event of a part; None for `Tokens`, which repeat what others say."""
    match part:
        case Tokens():
            return None
        case Prefill():
            return "prefill", part.done
        case Thinking(text):
            return "thinking", len(text)
        case ThinkingEnd():
            return "thinking_end", 0
        case Text(text) | Cited(text):
            return "text", len(text)
        case CallStart(name) | ServerCallStart(name=name):
            return "call", len(name)
        case CallDelta(json):
            return "arguments", len(json)
        case CallEnd():
            return "call_end", 0
        case ServerResult():
            return "result", len(part.output.text)
        case Compacted(content):
            return "summary", len(content or "")
        case Ending():
            return "end", 0


def blocks(parts: Iterable[Part]) -> Iterator[ShownPart]:
    """Yield the blocks of an answer: runs of thinking and of text, calls, and results of tools that the server runs."""
    open_block = _OpenBlock()
    for part in parts:
        match part:
            case Text(text) | Cited(text):
                yield from open_block.continued("text", text)
            case Thinking(text):
                yield from open_block.continued("thinking", text)
            case CallStart() | ServerCallStart():
                yield from open_block.closed()
                open_block = _OpenBlock("call", part.name)
            case CallDelta(json):
                open_block.texts.append(json)
            case CallEnd():
                yield from open_block.closed(whole=part.complete)
            case ServerResult():
                yield from open_block.closed()
                yield ShownPart("result", part.output.text)
            case Compacted(content):
                yield from open_block.closed()
                yield ShownPart("text", content or "")
            case ThinkingEnd() | Prefill() | Tokens() | Ending():
                pass
    yield from open_block.closed(whole=open_block.kind != "call")


@dataclass(slots=True)
class _OpenBlock:
    """A block whose texts are collected; without a kind there is none."""

    kind: str = ""
    name: str = ""
    texts: list[str] = field(default_factory=list)

    def continued(self, kind: str, text: str) -> Iterator[ShownPart]:
        """Add a text to a block of this kind; yield the block before it, if that is of another kind."""
        if self.kind != kind:
            yield from self.closed()
            self.kind = kind
        self.texts.append(text)

    def closed(self, *, whole: bool = True) -> Iterator[ShownPart]:
        """Yield the block, if there is one, and begin with none."""
        if self.kind:
            yield ShownPart(self.kind, "".join(self.texts), self.name, whole)
        self.kind, self.name, self.texts = "", "", []
