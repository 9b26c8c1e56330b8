"""Which dialect is it? The one whose parser reads back what the model's own chat template writes.

The template is given turns of which we know what they say (`sample`), every dialect's parser runs over what it makes of them,
and those that return exactly the calls that were put in are the readers. So the answer proves itself, and a patched template
answers for itself.

Families share formats, so there may be several readers. What else the template shows tells them apart (`_Fit`): whether the
dialect's own encoder writes the very same bytes, what its parser leaves over, whether it reads the reasoning, and whether the
template shows all that the dialect claims. Where no calls are printed, or nothing measurable tells two readers apart, the
`hints` of a dialect count: spellings in the template's source or among the model's special tokens.
"""

import json
from bisect import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dragoman.conversation.types import JsonObject
from dragoman.dialects.dialect import Dialect
from dragoman.dialects.registry import BY_NAME, DEFAULT, combine
from dragoman.inspection import sample_turns as sample
from dragoman.inspection.sample_turns import THOUGHT, TOOLS, SampleTurns, Slice, Template
from dragoman.parts import CallDelta, CallEnd, CallStart, Text, Thinking


def hints() -> frozenset[str]:
    """The spellings that some dialect is recognized by."""
    return frozenset(hint for dialect in BY_NAME.values() for hint in dialect.hints)


"""All spellings that say something: whoever can ask a tokenizer finds out which of them are special tokens."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The dialect and how it was found.

    `found` is "decoded back", "hint: " and the spellings, or "generic: " and why. `runners_up` are the names of the other
    dialects that read the same calls, the likeliest first.
    """

    dialect: Dialect
    found: str
    runners_up: Sequence[str] = ()


def detect(template: Template | None, vocabulary: Collection[str] = ()) -> Detection:
    """The dialect of a model: `template` is what it came with, `vocabulary` its special tokens, as far as they are known."""
    if template is None:
        return _guess(_Evidence(vocabulary), "there is no chat template")
    template = sample.as_understood(template)
    evidence = _Evidence.of(template, vocabulary)
    printed = False
    for specimens in sample.with_calls(template):
        printed = True
        readers = [dialect for dialect in BY_NAME.values() if all(_reads_calls(dialect, shown) for shown in specimens)]
        if readers:
            best, *others = sorted(readers, key=lambda dialect: _fit(dialect, specimens, readers, evidence))
            return Detection(best, "decoded back", [dialect.name for dialect in others])
    if printed:
        return Detection(_generic(evidence), "generic: no dialect reads the calls that the template prints")
    return _guess(evidence, "the template prints no calls")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What is known besides calls.

    `thoughts` are turns with reasoning, where the template prints any; `tails` what prompts end with, first by default, then
    with thinking on and off; `shown` all that the template writes of its own accord.
    """

    vocabulary: Collection[str]
    source: str = ""
    thoughts: Sequence[SampleTurns] = ()
    tails: Sequence[str] = ("",)
    shown: str = ""

    @classmethod
    def of(cls, template: Template, vocabulary: Collection[str]) -> "_Evidence":
        thoughts, words = sample.with_thought(template), sample.with_words(template)
        turns = (cut.turn for shown in (*thoughts, words) for cut in shown.cuts)
        shown = "".join((sample.openings(template), *turns))
        return cls(vocabulary, template.source, thoughts, sample.tails(template), shown)

    def hints_at(self, dialect: Dialect) -> bool:
        """Are all of its hints there?"""
        return bool(dialect.hints) and all(hint in self.source or hint in self.vocabulary for hint in dialect.hints)

    def shows_reasoning(self, dialect: Dialect) -> bool:
        """Does any of its markers of reasoning stand anywhere?"""
        return any(marker.strip() in self.shown for marker in _reasoning_markers(dialect))


class _Fit(NamedTuple):
    """How ill a reader fits; less is better, and the first difference decides."""

    borrowed: bool  # it reads these calls, but does not write such ones
    unlike: int  # characters that its own encoder writes in other places than the template, or that only one of them writes
    left_over: int  # characters that its parser took for text
    misread: bool  # the template shows reasoning, and it does not read it
    unshown: int  # what it claims and the template does not show
    closed: int  # less one for each character in which the template ends reasoning as it does
    unprompted: bool  # prompts begin its reasoning and not the template's, or the other way round
    unhinted: bool


def _fit(dialect: Dialect, specimens: Sequence[SampleTurns], readers: Sequence[Dialect], evidence: _Evidence) -> _Fit:
    own = replace(dialect, also=())
    thoughts, reasoning = evidence.thoughts, dialect.reasoning
    if thoughts:
        misread = not any(_reads_thought(dialect, shown) for shown in thoughts)
    else:
        misread = any(map(evidence.shows_reasoning, readers)) and not evidence.shows_reasoning(dialect)
    closes = reasoning is not None and any(shown.shows(THOUGHT + reasoning.force_close) for shown in thoughts)
    return _Fit(
        borrowed=not all(_reads_calls(own, shown) for shown in specimens),
        unlike=sum(min(_unlike(dialect.encode_calls(shown.calls), cut.turn) for cut in shown.cuts) for shown in specimens),
        left_over=sum(min(_left_over(dialect, shown)) for shown in specimens),
        misread=misread,
        unshown=(reasoning is not None and not evidence.shows_reasoning(dialect))
        + sum(tag not in evidence.shown for tag in dialect.wrapper.tags),
        closed=-len(reasoning.force_close) if reasoning and closes else 0,
        unprompted=reasoning is not None
        and reasoning.prompted != any(opener.strip() in evidence.tails[0] for opener in reasoning.opens),
        unhinted=not evidence.hints_at(dialect),
    )


def _unlike(written: str, turn: str) -> int:
    """The length of what is left of `written` when the beginning and the end that stand in `turn` are taken off."""
    begins = bisect(range(1, len(written) + 1), False, key=lambda length: written[:length] not in turn)
    ends = bisect(range(1, len(written) + 1), False, key=lambda length: written[-length:] not in turn)
    return max(0, len(written) - begins - ends)


def _guess(evidence: _Evidence, why: str) -> Detection:
    """By the hints; where several dialects' are there, the longest count."""
    hinted = max(filter(evidence.hints_at, BY_NAME.values()), key=lambda dialect: len("".join(dialect.hints)), default=None)
    if hinted is None:
        return Detection(_generic(evidence), f"generic: {why}")
    return Detection(hinted, f"hint: {' '.join(hinted.hints)}")


def _generic(evidence: _Evidence) -> Dialect:
    """Calls for models that have none of their own, with the reasoning that the template shows, where a dialect reads it."""
    readers = [dialect for dialect in BY_NAME.values() if dialect.frame is None and _reasons_alike(dialect, evidence)]
    return DEFAULT if DEFAULT in readers or not readers else combine(DEFAULT, readers[0])


def _reasons_alike(dialect: Dialect, evidence: _Evidence) -> bool:
    """Is the reasoning of the history read, or, where it holds none, that which the prompt opens?"""
    if evidence.thoughts:
        return any(_reads_thought(dialect, shown) for shown in evidence.thoughts)
    return any(map(dialect.thinking_open, evidence.tails))


def _reasoning_markers(dialect: Dialect) -> Sequence[str]:
    return (*dialect.reasoning.opens, *dialect.reasoning.closes) if dialect.reasoning else ()


@dataclass(slots=True)
class _Reading:
    """What a parser made of a cut. A call is its name and its arguments as `_plain` writes them; "": they are not whole."""

    calls: list[tuple[str, str]]
    words: str
    thinking: str


def _read(dialect: Dialect, cut: Slice) -> _Reading:
    tools = {tool.name: tool.schema for tool in TOOLS}
    parser = dialect.parser(tools, thinking_open=dialect.thinking_open(cut.before), recover=False)
    reading = _Reading([], "", "")
    name, arguments = "", ""
    for part in (*parser.feed(cut.turn), *parser.finish(cut=False)):
        match part:
            case CallStart():
                name, arguments = part.name, ""
            case CallDelta():
                arguments += part.json
            case CallEnd():
                reading.calls.append((name, _plain(json.loads(arguments)) if part.complete else ""))
            case Text():
                reading.words += part.text
            case Thinking():
                reading.thinking += part.text
    return reading


def _left_over(dialect: Dialect, shown: SampleTurns) -> Iterator[int]:
    """For each cut whose calls it reads: the characters it took for something else."""
    expected = [(call.name, _plain(call.input)) for call in shown.calls]
    readings = (_read(dialect, cut) for cut in shown.cuts)
    return (len(reading.words.strip() + reading.thinking.strip()) for reading in readings if reading.calls == expected)


def _plain(arguments: JsonObject) -> str:
    """One spelling for equal arguments: templates may sort the keys, and to Python 1 is True."""
    return json.dumps(arguments, sort_keys=True)


def _reads_calls(dialect: Dialect, shown: SampleTurns) -> bool:
    return any(True for _ in _left_over(dialect, shown))


def _reads_thought(dialect: Dialect, shown: SampleTurns) -> bool:
    readings = (_read(dialect, cut) for cut in shown.cuts)
    return any(reading.thinking.strip() == THOUGHT for reading in readings)
