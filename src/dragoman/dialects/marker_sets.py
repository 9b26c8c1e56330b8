"""The markers of a dialect, compiled for its parser."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Syntax

_QUOTES = "\"'`"


@dataclass(frozen=True, slots=True)
class MarkerSets:
    """The markers to look for in text and in thinking, and what they are.

    `openers` of calls, each with the ways of writing that it opens; their `closers`; quotations; openers of misspelled closers;
    `bare` calls by the character that they begin with. `behind_mention` is what may follow a call in thinking that is meant,
    `stops` what can end a message, `arguments` what those of a message to a tool begin with.
    """

    text: Markers
    thinking: Markers
    openers: Mapping[str, tuple[Calls, ...]]
    behind_mention: Markers
    bare: Mapping[str, Calls]
    closers: frozenset[str]
    quoted: frozenset[str]
    misspelled_closers: frozenset[str]
    stops: Markers
    arguments: tuple[str, ...]

    @property
    def calls(self) -> tuple[Mapping[str, tuple[Calls, ...]], frozenset[str]]:
        """The openers and the closers of calls."""
        return self.openers, self.closers


@lru_cache
def marker_sets(syntax: Syntax, *, calls_allowed: bool) -> MarkerSets:
    """The markers of a dialect. With `calls_allowed` false, those of calls are none."""
    blocks = [calls for calls in (syntax.calls, *syntax.also) if calls is not None and calls_allowed]
    openers: dict[str, tuple[Calls, ...]] = {}
    for calls in blocks:
        for opener in (*calls.section_opens, *calls.opens):
            openers[opener] = (*openers.get(opener, ()), calls)
    closers = {closer for calls in blocks for closer in (*calls.section_closes, *calls.closes)}
    spans = syntax.reasoning or Reasoning(opens=(), closes=(), misspelled_closers=())
    misspelled_closers = frozenset(slip.replace("</", "<") for slip in spans.misspelled_closers)
    frame = (*syntax.frame.starts, *syntax.frame.ends) if syntax.frame else ()
    anywhere = (*frame, *spans.opens, *spans.closes, *syntax.stop_strings.ends, *syntax.stop_strings.citations)
    quoted = _quoted((*spans.opens, *spans.closes, *openers, *closers))
    slips_quoted = _quoted(spans.misspelled_closers)
    return MarkerSets(
        text=Markers((*anywhere, *openers, *closers, *syntax.wrapper.tags, *quoted)),
        thinking=Markers(
            (
                *anywhere,
                *spans.tags,
                *openers,
                *(closers if spans.ended_by_call else ()),
                *spans.misspelled_closers,
                *misspelled_closers,
                *slips_quoted,
            )
        ),
        openers=openers,
        behind_mention=Markers((*openers, *syntax.stop_strings.ends)),
        bare={first: calls for calls in reversed(blocks) for first in calls.bare},
        closers=frozenset(closers),
        quoted=quoted | slips_quoted,
        misspelled_closers=misspelled_closers,
        stops=Markers((*frame, *syntax.stop_strings.ends)),
        arguments=_arguments_begin(syntax.calls) if syntax.calls and calls_allowed else (),
    )


def _arguments_begin(calls: Calls) -> tuple[str, ...]:
    if isinstance(calls.carrier, NameTag):
        return tuple(filter(None, (calls.carrier.open, *calls.carrier.skips)))
    return ("{",)


def _quoted(markers: Iterable[str]) -> frozenset[str]:
    return frozenset(quote + marker + quote for marker in markers for quote in _QUOTES)
