"""The citations of a text block: where in the documents of the request its text is supported (SSE-13)."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from dragoman.api.cited_texts import cited_hit, sealed_place
from dragoman.conversation.citations import CitationKind, Passage
from dragoman.parts import Citation


class CharLocation(Struct, frozen=True, tag="char_location"):
    """A place in a document of plain text, in characters."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_char_index: int
    end_char_index: int
    file_id: None = None


class PageLocation(Struct, frozen=True, tag="page_location"):
    """A place in a PDF, in pages from 1; the end is the page after the last one."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_page_number: int
    end_page_number: int
    file_id: None = None


class BlockLocation(Struct, frozen=True, tag="content_block_location"):
    """A place in a document that the client split into blocks."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_block_index: int
    end_block_index: int
    file_id: None = None


class SearchResultLocation(Struct, frozen=True, tag="search_result_location"):
    """A place in a search result, in blocks."""

    cited_text: str
    search_result_index: int
    source: str
    title: str | None
    start_block_index: int
    end_block_index: int


class WebSearchResultLocation(Struct, frozen=True, tag="web_search_result_location"):
    """A place in a hit of a web search. `encrypted_index` is the place, signed like reasoning."""

    cited_text: str
    encrypted_index: str
    title: str | None
    url: str


CitationOut = CharLocation | PageLocation | BlockLocation | SearchResultLocation | WebSearchResultLocation

_DOCUMENTS: Mapping[CitationKind, type[CharLocation] | type[PageLocation] | type[BlockLocation]] = {
    CitationKind.CHARACTERS: CharLocation,
    CitationKind.PAGES: PageLocation,
    CitationKind.BLOCKS: BlockLocation,
}
_PLACES: Mapping[str, tuple[str, str, str]] = {
    "char_location": ("document_index", "start_char_index", "end_char_index"),
    "page_location": ("document_index", "start_page_number", "end_page_number"),
    "content_block_location": ("document_index", "start_block_index", "end_block_index"),
    "search_result_location": ("search_result_index", "start_block_index", "end_block_index"),
}


def citation_out(citation: Citation) -> CitationOut:
    """The citation in the form of the API."""
    title, kind = citation.title or None, CitationKind(citation.kind)
    if kind is CitationKind.SEARCH_RESULT:
        return SearchResultLocation(citation.text, citation.index, citation.origin, title, citation.start, citation.end)
    if kind is CitationKind.WEB_SEARCH:
        return WebSearchResultLocation(citation.text, sealed_place(citation), title, citation.origin)
    make = _DOCUMENTS[kind]
    return make(citation.text, citation.index, title, citation.start, citation.end)


def cited_passages(citations: Sequence[Any] | None) -> Sequence[Passage]:
    """The citations that a client sends back, as far as they name places in documents and hits."""
    return [passage for citation in citations or () if (passage := _passage(citation))]


def _passage(citation: object) -> Passage | None:
    match citation:
        case {"type": "web_search_result_location", "encrypted_index": str(place)}:
            return cited_hit(place)
        case _:
            return _passage_of_document(citation)


def _passage_of_document(citation: object) -> Passage | None:
    names = _PLACES.get(str(citation.get("type"))) if isinstance(citation, dict) else None
    if names is None or not isinstance(citation, dict):
        return None
    index, start, end = (citation.get(name) for name in names)
    if not (isinstance(index, int) and isinstance(start, int) and isinstance(end, int)):
        return None
    return Passage(CitationKind(citation["type"]), index, start, end, str(citation.get("cited_text") or ""))
