"""The markers of a dialect and their meanings in text and in reasoning, compiled for its parser."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.marks import marked
from dragoman.dialects.spec import Calls, CallsInside, NameTag, Syntax

_QUOTES = "\"'`"
_MISSPELLED_CLOSERS = ("</thinking>",)
"""Wrong spellings of the closer of reasoning, of all families: they are read as one, inside reasoning only."""
_MISSPELLED_OPENERS = ("<thinking>",)
"""The openers that match these. If one came before in the same reasoning, the closer is text."""


class Meaning(Enum):
    """The meaning of a marker in text, or in reasoning."""

    TEXT = auto()  # none: it is quoted
    CALL = auto()  # opens a block or a section of calls
    CALL_END = auto()  # closes one
    REASONING = auto()
    REASONING_END = auto()
    MISSPELLED_OPENER = auto()
    MISSPELLED_END = auto()
    HEADER = auto()  # begins the header of a message
    MESSAGE_END = auto()
    STOP = auto()  # a stop string
    CITATION = auto()
    DROPPED = auto()
    SPELLED = auto()  # none: ordinary tokens spell a special token


class MarkerTable:
    """The markers to look for in one state of the parser, each with its meaning; of several, the last one counts."""

    def __init__(self, *rows: tuple[Meaning, Iterable[str]]) -> None:
        self.meanings = {marker: meaning for meaning, markers in rows for marker in markers}
        self.markers = Markers(self.meanings)


@dataclass(frozen=True, slots=True)
class MarkerSets:
    """The markers of a dialect."""

    text: MarkerTable
    reasoning: MarkerTable
    openers: Mapping[str, tuple[Calls, ...]]
    """The openers of calls and of sections, each with the forms of calls that it opens."""
    closers: frozenset[str]
    """The closers of calls and of sections."""
    bare: Mapping[str, tuple[Calls, ...]]
    """The forms of calls without an opener, by their first character."""
    after_tentative_call: Markers
    """Markers that may follow a call in reasoning which was meant as a call."""
    message_ends: Markers
    """Markers that can end a message."""
    arguments: tuple[str, ...]
    """The beginnings of the arguments in a message to a tool."""


@lru_cache
def marker_sets(syntax: Syntax, *, calls_allowed: bool, spelled: frozenset[str] = frozenset()) -> MarkerSets:
    """The markers of a dialect; with `calls_allowed` false, without those of calls. `spelled` only spell markers."""
    blocks = [calls for calls in (syntax.calls, *syntax.also) if calls is not None and calls_allowed]
    openers: dict[str, tuple[Calls, ...]] = {}
    for calls in blocks:
        for opener in (*calls.section_opens, *calls.opens):
            openers[opener] = (*openers.get(opener, ()), calls)
    closers = frozenset(closer for calls in blocks for closer in (*calls.section_closes, *calls.closes))
    reasoning = syntax.reasoning
    opens, closes, tags = (reasoning.opens, reasoning.closes, reasoning.tags) if reasoning else ((), (), ())
    misspelled = (_MISSPELLED_OPENERS, _MISSPELLED_CLOSERS) if reasoning else ((), ())
    starts, ends = (syntax.frame.starts, syntax.frame.ends) if syntax.frame else ((), ())
    stops = syntax.stop_strings.ends
    anywhere = (
        (Meaning.MESSAGE_END, ends),
        (Meaning.HEADER, starts),
        (Meaning.CITATION, syntax.stop_strings.citations),
        (Meaning.STOP, stops),
    )
    hides_closers = reasoning is not None and reasoning.calls_inside is CallsInside.TENTATIVE
    return MarkerSets(
        text=MarkerTable(
            (Meaning.SPELLED, spelled),
            (Meaning.TEXT, map(marked, spelled)),
            (Meaning.DROPPED, (*syntax.wrapper.tags, *closes)),
            (Meaning.CALL_END, closers),
            *anywhere,
            (Meaning.REASONING, opens),
            (Meaning.CALL, openers),
            (Meaning.TEXT, _quoted((*opens, *closes, *openers, *closers))),
            (Meaning.TEXT, (closer for closer in closes if reasoning and closer in reasoning.word_like_markers)),
        ),
        reasoning=MarkerTable(
            (Meaning.SPELLED, spelled),
            (Meaning.TEXT, map(marked, spelled)),
            (Meaning.DROPPED, tags),
            (Meaning.CALL_END, () if hides_closers else closers),
            *anywhere,
            (Meaning.REASONING_END, closes),
            (Meaning.REASONING, opens),
            (Meaning.MISSPELLED_OPENER, misspelled[0]),
            (Meaning.MISSPELLED_END, misspelled[1]),
            (Meaning.CALL, openers),
            (Meaning.TEXT, _quoted(misspelled[1])),
        ),
        openers=openers,
        closers=closers,
        bare={first: (calls,) for calls in reversed(blocks) for first in calls.bare},
        after_tentative_call=Markers((*openers, *stops)),
        message_ends=Markers((*starts, *ends, *stops)),
        arguments=_arguments_begin(syntax.calls) if syntax.calls and calls_allowed else (),
    )


def _arguments_begin(calls: Calls) -> tuple[str, ...]:
    if isinstance(calls.carrier, NameTag):
        return tuple(filter(None, (calls.carrier.open, *calls.carrier.skips)))
    return ("{",)


def _quoted(markers: Iterable[str]) -> list[str]:
    return [quote + marker + quote for marker in markers for quote in _QUOTES]
