"""Detects the dialect of a model: the one whose parser reads back what the model's own chat template writes.

The template renders known turns (`sample_turns`), and the parser of every dialect runs over the text. The dialects that return
exactly the original calls are the readers. The method needs no table of models, and works for modified templates too.

Families share formats, so there may be several readers. They are compared by what else the template renders (`_Fit`): whether
the dialect's own writer writes the same bytes, how much text its parser leaves over, whether it reads the reasoning, and
whether the template renders all markers of the dialect. If no calls are rendered, or the readers do not differ, the `hints` of
a dialect decide: spellings in the template's source or among the model's special tokens.
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
from dragoman.inspection.conversations import THOUGHT, TOOLS
from dragoman.inspection.sample_turns import SampleTurns, Slice, Template
from dragoman.parts import CallDelta, CallEnd, CallStart, Text, Thinking


def hints() -> frozenset[str]:
    """The spellings that some dialect is recognized by; a tokenizer decides which are special tokens of a model."""
    return frozenset(hint for dialect in BY_NAME.values() for hint in dialect.hints)


@dataclass(frozen=True, slots=True)
class Detection:
    """The dialect and how it was found.

    `found` is "decoded back", "hint: " and the spellings, or "generic: " and the reason. `runners_up` are the names of the
    other dialects that read the same calls, the most likely first.
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
    for samples in sample.with_calls(template):
        printed = True
        readers = [dialect for dialect in BY_NAME.values() if all(_reads_calls(dialect, shown) for shown in samples)]
        if readers:
            best, *others = sorted(readers, key=lambda dialect: _fit(dialect, samples, readers, evidence))
            return Detection(best, "decoded back", [dialect.name for dialect in others])
    if printed:
        return Detection(_generic(evidence), "generic: no dialect reads the calls that the template prints")
    return _guess(evidence, "the template prints no calls")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The evidence in addition to calls.

    `thoughts` are turns with reasoning, if the template renders any; `tails` are the ends of prompts, by default, with thinking
    on, and with thinking off; `shown` is all text that the template adds itself.
    """

    vocabulary: Collection[str]
    source: str = ""
    thoughts: Sequence[SampleTurns] = ()
    tails: Sequence[str] = ("",)
    shown: str = ""

    @classmethod
    def of(cls, template: Template, vocabulary: Collection[str]) -> "_Evidence":
        thoughts, words = sample.with_thought(template), sample.with_words(template)
        turns = (slice_.turn for shown in (*thoughts, words) for slice_ in shown.slices)
        shown = "".join((sample.openings(template), *turns))
        return cls(vocabulary, template.source, thoughts, sample.tails(template), shown)

    def hints_at(self, dialect: Dialect) -> bool:
        """Whether all hints of the dialect are present."""
        return bool(dialect.hints) and all(hint in self.source or hint in self.vocabulary for hint in dialect.hints)

    def shows_reasoning(self, dialect: Dialect) -> bool:
        """Whether any reasoning marker of the dialect is in the rendered text."""
        return any(marker.strip() in self.shown for marker in _reasoning_markers(dialect))


class _Fit(NamedTuple):
    """The misfit of a reader: less is better, and the first difference decides."""

    borrowed: bool  # it reads these calls only in a syntax of `also`
    unlike: int  # characters that its own writer writes in other places than the template, or that only one of them writes
    left_over: int  # characters that its parser read as text
    misread: bool  # the template renders reasoning that it does not read
    unshown: int  # markers of the dialect that the template does not render
    closed: int  # minus the length of its reasoning end if the template writes the same
    unprompted: bool  # prompts of the dialect open reasoning and the template's do not, or the reverse
    unhinted: bool  # its hints are not present


def _fit(dialect: Dialect, samples: Sequence[SampleTurns], readers: Sequence[Dialect], evidence: _Evidence) -> _Fit:
    own = replace(dialect, also=())
    thoughts, reasoning = evidence.thoughts, dialect.reasoning
    if thoughts:
        misread = not any(_reads_thought(dialect, shown) for shown in thoughts)
    else:
        misread = any(map(evidence.shows_reasoning, readers)) and not evidence.shows_reasoning(dialect)
    closes = reasoning is not None and any(shown.shows(THOUGHT + reasoning.force_close) for shown in thoughts)
    return _Fit(
        borrowed=not all(_reads_calls(own, shown) for shown in samples),
        unlike=sum(
            min(_unlike(dialect.encode_calls(shown.calls), slice_.turn) for slice_ in shown.slices) for shown in samples
        ),
        left_over=sum(min(_left_over(dialect, shown)) for shown in samples),
        misread=misread,
        unshown=(reasoning is not None and not evidence.shows_reasoning(dialect))
        + sum(tag not in evidence.shown for tag in dialect.wrapper.tags),
        closed=-len(reasoning.force_close) if reasoning and closes else 0,
        unprompted=reasoning is not None
        and reasoning.prompted != any(opener.strip() in evidence.tails[0] for opener in reasoning.opens),
        unhinted=not evidence.hints_at(dialect),
    )


def _unlike(written: str, turn: str) -> int:
    """The length of `written` without its longest beginning and end that are in `turn`."""
    begins = bisect(range(1, len(written) + 1), False, key=lambda length: written[:length] not in turn)
    ends = bisect(range(1, len(written) + 1), False, key=lambda length: written[-length:] not in turn)
    return max(0, len(written) - begins - ends)


def _guess(evidence: _Evidence, why: str) -> Detection:
    """The detection by hints; if those of several dialects are present, the longest decide."""
    hinted = max(filter(evidence.hints_at, BY_NAME.values()), key=lambda dialect: len("".join(dialect.hints)), default=None)
    if hinted is None:
        return Detection(_generic(evidence), f"generic: {why}")
    return Detection(hinted, f"hint: {' '.join(hinted.hints)}")


def _generic(evidence: _Evidence) -> Dialect:
    """The generic dialect for models without calls of their own, with the reasoning of a dialect that reads the template's."""
    readers = [dialect for dialect in BY_NAME.values() if dialect.frame is None and _reads_reasoning(dialect, evidence)]
    return DEFAULT if DEFAULT in readers or not readers else combine(DEFAULT, readers[0])


def _reads_reasoning(dialect: Dialect, evidence: _Evidence) -> bool:
    """Whether the dialect reads the reasoning in the history, or, if there is none, reasoning that the prompt opens."""
    if evidence.thoughts:
        return any(_reads_thought(dialect, shown) for shown in evidence.thoughts)
    return any(map(dialect.thinking_open, evidence.tails))


def _reasoning_markers(dialect: Dialect) -> Sequence[str]:
    return (*dialect.reasoning.opens, *dialect.reasoning.closes) if dialect.reasoning else ()


@dataclass(slots=True)
class _Reading:
    """The parts read in a slice. A call is a name and the arguments as `_plain` writes them, "" if they are incomplete."""

    calls: list[tuple[str, str]]
    words: str
    thinking: str


def _read(dialect: Dialect, slice_: Slice) -> _Reading:
    tools = {tool.name: tool.schema for tool in TOOLS}
    parser = dialect.parser(tools, thinking_open=dialect.thinking_open(slice_.before), recover=False)
    reading = _Reading([], "", "")
    name, arguments = "", ""
    for part in (*parser.feed(slice_.turn), *parser.finish(cut=False)):
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
    """For each slice whose calls the dialect reads: the number of characters that it read as something else."""
    expected = [(call.name, _plain(call.input)) for call in shown.calls]
    readings = (_read(dialect, slice_) for slice_ in shown.slices)
    return (len(reading.words.strip() + reading.thinking.strip()) for reading in readings if reading.calls == expected)


def _plain(arguments: JsonObject) -> str:
    """The same text for equal arguments: templates may sort the keys, and in Python 1 equals True."""
    return json.dumps(arguments, sort_keys=True)


def _reads_calls(dialect: Dialect, shown: SampleTurns) -> bool:
    return any(True for _ in _left_over(dialect, shown))


def _reads_thought(dialect: Dialect, shown: SampleTurns) -> bool:
    readings = (_read(dialect, slice_) for slice_ in shown.slices)
    return any(reading.thinking.strip() == THOUGHT for reading in readings)
