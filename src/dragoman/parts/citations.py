"""Text of an answer with what it cites."""

from msgspec import Struct


class Citation(Struct, frozen=True):
    """A place in a document of the request: `text` is verbatim what stands there.

    `kind` is the API's name for what `start` and `end` count; the place ends before `end`. `index` is that of the document, or
    of the search result, whose source is `origin`.
    """

    kind: str
    index: int
    start: int
    end: int
    text: str
    title: str = ""
    origin: str = ""


class Cited(Struct, frozen=True):
    """Text that passages of documents support, whole. `marks` are those by which the model named the passages."""

    text: str
    citations: tuple[Citation, ...]
    marks: str
