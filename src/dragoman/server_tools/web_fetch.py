"""Fetches web pages, texts and PDFs that the conversation names (TOOL-15)."""

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from dragoman.conversation import Attachment, Dialogue, Role, Text, ToolResult, WebFetch
from dragoman.conversation.types import JsonObject
from dragoman.conversation.web_results import fetched
from dragoman.errors import Overloaded
from dragoman.media.data_kind import DataKind, kind_of
from dragoman.media.fetching import Fetched, Fetcher, Obstacle, Unfetchable
from dragoman.media.web_page import PageReader
from dragoman.parts.server_tools import FetchedPage, ServerToolKind, ServerToolOutput, ToolFailure
from dragoman.server_tools.domains import DomainRules
from dragoman.server_tools.known_urls import is_known
from dragoman.server_tools.text_tool import TextTool
from dragoman.worker_pool import TooExpensive

MOST_BYTES: Final = 10_000_000
"""Bytes of what is fetched."""
ACCEPT: Final = "text/html, text/markdown, text/plain, application/pdf;q=0.9, */*;q=0.5"
NAME: Final = "web_fetch"
_DEFAULT_TOKENS: Final = 20_000
"""Tokens of a page, if the request does not say how many."""
_BYTES_PER_TOKEN: Final = 4
_LONGEST_URL: Final = 2_000
_SECONDS: Final = 60.0
_HTML: Final = {"text/html", "application/xhtml+xml"}
_CUT: Final = "\n\n[The page continues; the rest is left out, because it is too long.]"
_CODES: Final[Mapping[Obstacle, str]] = {
    Obstacle.INVALID: "invalid_tool_input",
    Obstacle.FORBIDDEN: "url_not_allowed",
    Obstacle.UNREACHABLE: "url_not_accessible",
    Obstacle.TOO_LARGE: "content_too_large",
}
_DESCRIPTION: Final = (
    "Read a web page, a text or a PDF at a URL. Only URLs that the user wrote, or that stand in an earlier result, can be read."
)


class WebFetchTool(TextTool):
    """Fetches URLs by the rules of one request."""

    kind = ServerToolKind.WEB_FETCH
    seconds = _SECONDS

    def __init__(self, declared: WebFetch, fetcher: Fetcher, pages: PageReader) -> None:
        super().__init__(NAME, _DESCRIPTION, "url", "The address, as it stands in the conversation.", _LONGEST_URL)
        self._declared = declared
        self._domains = DomainRules(tuple(declared.allowed_domains), tuple(declared.blocked_domains))
        self._fetcher = fetcher
        self._pages = pages
        self._uses = 0

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        """Fetch, and read what was found."""
        url: str = call["url"]
        refusal = await self._refusal(url, dialogue)
        if refusal:
            return ToolFailure(self.kind, refusal)
        try:
            return await self._read(await self._fetcher.fetch(url, self._domains.permit))
        except Unfetchable as error:
            return ToolFailure(self.kind, _CODES[error.obstacle])
        except TooExpensive:
            return ToolFailure(self.kind, "content_too_large")
        except Overloaded:
            return ToolFailure(self.kind, "too_many_requests")

    def for_model(self, output: ServerToolOutput) -> Sequence[Text | Attachment]:
        """The page as a document, as one that the client sends."""
        return (fetched(output, cites=output.cites),) if isinstance(output, FetchedPage) else super().for_model(output)

    async def _refusal(self, url: str, dialogue: Dialogue) -> str | None:
        """The error code for a URL that is not fetched at all."""
        if self._declared.max_uses is not None and self._uses >= self._declared.max_uses:
            return "max_uses_exceeded"
        self._uses += 1
        if len(url) > _LONGEST_URL:
            return "url_too_long"
        if not await asyncio.to_thread(is_known, url, list(self._texts(dialogue))):
            return "url_not_in_prior_context"
        return None

    def _texts(self, dialogue: Dialogue) -> Iterator[str]:
        """The texts whose URLs may be fetched; those that the model wrote are not among them."""
        for turn in dialogue.turns:
            for part in turn.content:
                match part:
                    case ToolResult(name=name) if self._declared.from_results.passes(name):
                        yield part.text
                    case Text(text) if turn.role is Role.USER and self._declared.from_user:
                        yield text
                    case _:
                        pass

    async def _read(self, found: Fetched) -> ServerToolOutput:
        kind = kind_of(found.data)
        if kind is DataKind.PDF:
            return self._page(found, "", base64.b64encode(found.data).decode(), is_pdf=True)
        if found.media_type in _HTML:
            page = await self._pages.read(found.data, found.url, found.charset)
            return self._page(found, page.title, self._cut(page.text))
        if kind is DataKind.TEXT or found.media_type.startswith("text/"):
            return self._page(found, "", self._cut(_decoded(found)))
        return ToolFailure(self.kind, "unsupported_content_type")

    def _page(self, found: Fetched, title: str, content: str, *, is_pdf: bool = False) -> FetchedPage:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return FetchedPage(found.url, title, content, is_pdf, now, self._declared.cites)

    def _cut(self, text: str) -> str:
        """The beginning of a text that is too long. A token is taken for four bytes: the limit is approximate."""
        most = (self._declared.max_tokens or _DEFAULT_TOKENS) * _BYTES_PER_TOKEN
        data = text.encode(errors="replace")
        return text if len(data) <= most else data[:most].decode(errors="ignore") + _CUT


def _decoded(found: Fetched) -> str:
    try:
        return found.data.decode(found.charset or "utf-8", errors="replace")
    except LookupError:
        return found.data.decode(errors="replace")
