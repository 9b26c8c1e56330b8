"""Citations in earlier answers, as every format has them: places in the hits of web searches, and texts that cite."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from dragoman.api.sealed import sealed, unsealed
from dragoman.conversation.citations import CitationKind, CitedText, Passage, PassageIndex
from dragoman.conversation.types import Content, Text, Turn
from dragoman.parts import Citation


class HitPlace(Struct, frozen=True, array_like=True):
    """A place in what the model read of a hit, in characters. `index` is that of the hit among all of the conversation."""

    index: int
    start: int
    end: int


def sealed_place(citation: Citation) -> str:
    """The place in the hit that is cited, signed like reasoning."""
    return sealed(HitPlace(citation.index, citation.start, citation.end))


def cited_hit(place: str) -> Passage | None:
    """The passage at a sealed place; None if that is damaged."""
    found = unsealed(place, HitPlace)
    return Passage(CitationKind.WEB_SEARCH, found.index, found.start, found.end, "") if found else None


def join_cited(content: Sequence[Content]) -> Iterator[Content]:
    """The content of an answer, in which texts beside one with citations are one text, as the model wrote them."""
    texts = (Text, CitedText)
    for is_text, run in groupby(content, key=lambda part: isinstance(part, texts)):
        group = list(run)
        if not is_text or not any(isinstance(part, CitedText) for part in group):
            yield from group
            continue
        pieces = [piece for part in group for piece in (part.pieces if isinstance(part, CitedText) else _uncited(part))]
        yield CitedText(pieces)


def without_citations(turn: Turn) -> Turn:
    """The turn of a conversation in which there is nothing to cite."""
    if not any(isinstance(part, CitedText) for part in turn.content):
        return turn
    nothing = PassageIndex(())
    content = (Text(part.marked(nothing)) if isinstance(part, CitedText) else part for part in turn.content)
    return Turn(turn.role, tuple(content))


def _uncited(part: Content) -> Sequence[tuple[str, Sequence[Passage]]]:
    return [(part.text, ())] if isinstance(part, Text) else []
