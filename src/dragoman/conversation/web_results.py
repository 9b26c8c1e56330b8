"""What the model reads of the hits of a web search and of fetched pages: attachments, as those that a client sends.

Lowering makes the same of the results that a client sends back, so that the prompt stays append-only.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from dragoman.conversation.citations import CitationKind
from dragoman.conversation.types import Attachment, AttachmentKind, Inline, Text


class Hit(Protocol):
    """A hit of a web search; `age` says in words when the page changed, and may be empty, as may `text`."""

    @property
    def url(self) -> str:
        """The URL of the page."""

    @property
    def title(self) -> str:
        """The title of the page."""

    @property
    def text(self) -> str:
        """What the model reads of the page."""

    @property
    def age(self) -> str:
        """When the page changed."""


class Page(Protocol):
    """A fetched page: its text, or a PDF as base64."""

    @property
    def url(self) -> str:
        """The URL of the page."""

    @property
    def title(self) -> str:
        """The title of the page; may be empty."""

    @property
    def content(self) -> str:
        """The text, or the base64."""

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF."""


def searched(hits: Iterable[Hit], *, cites: bool, path: str = "") -> Sequence[Text | Attachment]:
    """The hits of a web search. `cites`: the answer may cite them. `path` is the place of the result in the request."""
    return tuple(_hit(hit, path, cites=cites) for hit in hits) or (Text("The search found nothing."),)


def _hit(hit: Hit, path: str, *, cites: bool) -> Attachment:
    return Attachment(
        AttachmentKind.WEB_SEARCH_RESULT,
        (Text(hit.text),),
        path,
        origin=hit.url,
        title=hit.title,
        context=f"Age: {hit.age}" if hit.age else "",
        cites=CitationKind.WEB_SEARCH if cites else None,
    )


def fetched(page: Page, *, cites: bool, path: str = "") -> Attachment:
    """A fetched page. `cites`: the answer may cite it. `path` is the place of the result in the request."""
    kind = CitationKind.PAGES if page.is_pdf else CitationKind.CHARACTERS
    source = Inline(page.content, "application/pdf") if page.is_pdf else (Text(page.content),)
    return Attachment(AttachmentKind.DOCUMENT, source, path, origin=page.url, title=page.title, cites=kind if cites else None)
