"""The citations of a message: the pages that a web search found, as annotations of the text that cites them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from dragoman.api.cited_texts import cited_hit, sealed_place
from dragoman.api.openai.content import read, read_part
from dragoman.api.openai.parts import TextPart
from dragoman.conversation.citations import CitedText, Passage
from dragoman.conversation.types import Content
from dragoman.parts import Citation


class UrlCitation(Struct, frozen=True, tag="url_citation"):
    """A page that the text from `start_index` to before `end_index`, in characters of the message, is taken from.

    `encrypted_index` is the place in the hit, signed like reasoning: a field of this server, which clients send back as they
    send back the others.
    """

    start_index: int
    end_index: int
    url: str
    title: str
    encrypted_index: str

    @classmethod
    def of(cls, citation: Citation, start: int, end: int) -> "UrlCitation":
        """The annotation for a citation of a hit."""
        return cls(start, end, citation.origin, citation.title or citation.origin, sealed_place(citation))


def said(content: str | Sequence[Any], path: str) -> Iterator[Content]:
    """The content of an earlier message of the assistant. `path` is its place in the request."""
    if isinstance(content, str):
        yield from read(content, path)
        return
    for place, part in enumerate(content):
        pieces = list(_pieces(part)) if isinstance(part, TextPart) else []
        if any(cited for _, cited in pieces):
            yield CitedText(pieces)
        else:
            yield from read_part(part, f"{path}.{place}")


def _pieces(part: TextPart) -> Iterator[tuple[str, Sequence[Passage]]]:
    """The text in pieces, each with what it cites. Annotations of other servers, and damaged ones, cite nothing."""
    places: dict[tuple[int, int], list[Passage]] = {}
    for annotation in part.annotations if isinstance(part.annotations, list) else ():
        match annotation:
            case {"type": "url_citation", "start_index": int(start), "end_index": int(end), "encrypted_index": str(sealed)}:
                if passage := cited_hit(sealed):
                    places.setdefault((start, end), []).append(passage)
            case _:
                pass
    yield from _split(part.text, places)


def _split(text: str, places: Mapping[tuple[int, int], Sequence[Passage]]) -> Iterator[tuple[str, Sequence[Passage]]]:
    position = 0
    for (start, end), passages in sorted(places.items(), key=lambda entry: entry[0]):
        if position <= start < end <= len(text):
            yield text[position:start], ()
            yield text[start:end], passages
            position = end
    yield text[position:], ()
