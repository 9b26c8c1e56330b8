"""The markers of a dialect, compiled for its parser."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Syntax

_QUOTES = "\"'`"


@dataclass(frozen=True, slots=True)
class MarkerSets:
    """The markers to look for in each state of the parser, and their meanings."""

    text: Markers
    """All markers to look for in text."""
    thinking: Markers
    """All markers to look for in reasoning."""
    openers: Mapping[str, tuple[Calls, ...]]
    """The openers of calls and of sections, each with the forms of calls that it opens."""
    after_tentative_call: Markers
    """Markers that may follow a call in reasoning which was meant as a call."""
    bare: Mapping[str, Calls]
    """The forms of calls without an opener, by their first character."""
    closers: frozenset[str]
    """The closers of calls and of sections."""
    quoted: frozenset[str]
    """Markers between two quotation marks, which are text."""
    misspelled_openers: frozenset[str]
    """The openers that match the misspelled closers, as `<thinking>`."""
    stops: Markers
    """Markers that can end a message."""
    arguments: tuple[str, ...]
    """The beginnings of the arguments in a message to a tool."""

    @property
    def calls(self) -> tuple[Mapping[str, tuple[Calls, ...]], frozenset[str]]:
        """The openers and the closers of calls."""
        return self.openers, self.closers


@lru_cache
def marker_sets(syntax: Syntax, *, calls_allowed: bool) -> MarkerSets:
    """The markers of a dialect; with `calls_allowed` false, without those of calls."""
    blocks = [calls for calls in (syntax.calls, *syntax.also) if calls is not None and calls_allowed]
    openers: dict[str, tuple[Calls, ...]] = {}
    for calls in blocks:
        for opener in (*calls.section_opens, *calls.opens):
            openers[opener] = (*openers.get(opener, ()), calls)
    closers = {closer for calls in blocks for closer in (*calls.section_closes, *calls.closes)}
    spans = syntax.reasoning or Reasoning(opens=(), closes=(), misspelled_closers=())
    misspelled_openers = frozenset(closer.replace("</", "<") for closer in spans.misspelled_closers)
    frame = (*syntax.frame.starts, *syntax.frame.ends) if syntax.frame else ()
    anywhere = (*frame, *spans.opens, *spans.closes, *syntax.stop_strings.ends, *syntax.stop_strings.citations)
    quoted = _quoted((*spans.opens, *spans.closes, *openers, *closers))
    misspelled_quoted = _quoted(spans.misspelled_closers)
    return MarkerSets(
        text=Markers((*anywhere, *openers, *closers, *syntax.wrapper.tags, *quoted)),
        thinking=Markers(
            (
                *anywhere,
                *spans.tags,
                *openers,
                *(closers if spans.ended_by_call else ()),
                *spans.misspelled_closers,
                *misspelled_openers,
                *misspelled_quoted,
            )
        ),
        openers=openers,
        after_tentative_call=Markers((*openers, *syntax.stop_strings.ends)),
        bare={first: calls for calls in reversed(blocks) for first in calls.bare},
        closers=frozenset(closers),
        quoted=quoted | misspelled_quoted,
        misspelled_openers=misspelled_openers,
        stops=Markers((*frame, *syntax.stop_strings.ends)),
        arguments=_arguments_begin(syntax.calls) if syntax.calls and calls_allowed else (),
    )


def _arguments_begin(calls: Calls) -> tuple[str, ...]:
    if isinstance(calls.carrier, NameTag):
        return tuple(filter(None, (calls.carrier.open, *calls.carrier.skips)))
    return ("{",)


def _quoted(markers: Iterable[str]) -> frozenset[str]:
    return frozenset(quote + marker + quote for marker in markers for quote in _QUOTES)
