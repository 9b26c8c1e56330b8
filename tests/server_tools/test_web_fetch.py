"""Pages that the conversation names are fetched by the rules of the request; every failure has its documented code."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, get_args

import pytest
import pytest_asyncio
from aiohttp import web
from anthropic.types import WebFetchToolResultErrorCode

from dragoman.conversation import Attachment, Dialogue, Role, Text, ToolResult, Turn, WebFetch
from dragoman.conversation.server_tools import ResultFilter
from dragoman.media.fetching import Fetcher
from dragoman.media.web_page import PageReader
from dragoman.parts.server_tools import FetchedPage, ServerToolKind, ServerToolOutput, ToolFailure
from dragoman.server_tools.web_fetch import WebFetchTool
from media.inline_pool import InlinePool
from media.pdf_files import text_pdf
from server_tools.web_site import site_of

PAGE = b"<html><title>T</title><body><p>The moon pulls the sea.</p></body></html>"


@pytest_asyncio.fixture
async def site() -> AsyncGenerator[str]:
    """A web server, and the beginning of its URLs."""
    answers: dict[str, dict[str, Any]] = {
        "page": {"body": PAGE, "content_type": "text/html"},
        "text": {"text": "words " * 100},
        "json": {"text": '{"a": 1}', "content_type": "application/json"},
        "pdf": {"body": text_pdf(b"one"), "content_type": "application/octet-stream"},
        "picture": {"body": b"\x89PNG\0", "content_type": "image/png"},
        "large": {"body": b"x" * 200_000},
        "gone": {"status": 404},
        "away": {"status": 302, "headers": {"Location": "http://10.0.0.1/"}},
        "moved": {"status": 302, "headers": {"Location": "/page"}},
    }

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(**answers[request.match_info["name"]])

    async with site_of(handle) as url:
        yield url


def dialogue(*texts: str, results: Sequence[tuple[str, str]] = ()) -> Dialogue:
    found = [ToolResult.of_text("id", name, text) for name, text in results]
    turns = [Turn(Role.USER, (*map(Text, texts), *found)), Turn(Role.ASSISTANT, (Text("https://made.up/"),))]
    return Dialogue(turns)


def tool(rules: WebFetch = WebFetch()) -> WebFetchTool:  # noqa: B008 -- frozen
    fetcher = Fetcher(100_000, allows=lambda address: str(address) == "127.0.0.1")
    return WebFetchTool(rules, fetcher, PageReader(InlinePool()))


async def fetched(url: str, rules: WebFetch = WebFetch()) -> ServerToolOutput:  # noqa: B008 -- frozen
    return await tool(rules).run({"url": url}, dialogue(f"Read {url}."))


@pytest.mark.clause("TOOL-15")
async def test_a_page_becomes_text_with_its_title_and_address(site: str) -> None:
    page = await fetched(f"{site}/moved", WebFetch(cites=True))
    assert isinstance(page, FetchedPage)
    assert (page.url, page.title, page.content, page.cites) == (f"{site}/page", "T", "The moon pulls the sea.", True)
    assert page.text == f"T\n{site}/page\n\nThe moon pulls the sea."
    assert page.retrieved_at.startswith("20")


async def test_text_is_cut_at_the_limit_and_says_so(site: str) -> None:
    whole, cut = await fetched(f"{site}/text"), await fetched(f"{site}/text", WebFetch(max_tokens=10))
    assert isinstance(whole, FetchedPage)
    assert isinstance(cut, FetchedPage)
    assert whole.content == "words " * 100
    assert cut.content.startswith("words " * 6)
    assert "left out" in cut.content
    assert len(cut.content) < 120


async def test_a_pdf_is_an_attachment_for_the_model(site: str) -> None:
    page = await fetched(f"{site}/pdf")
    assert isinstance(page, FetchedPage)
    (attached,) = tool().for_model(page)
    assert page.is_pdf
    assert isinstance(attached, Attachment)
    assert attached.origin == f"{site}/pdf"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gone", "url_not_accessible"),
        ("away", "url_not_allowed"),
        ("large", "content_too_large"),
        ("picture", "unsupported_content_type"),
        ("p" * 3000, "url_too_long"),
    ],
)
async def test_what_cannot_be_read_has_a_code(site: str, name: str, code: str) -> None:
    failure = await fetched(f"{site}/{name}")
    assert isinstance(failure, ToolFailure)
    assert failure.code == code
    assert code in get_args(WebFetchToolResultErrorCode)
    assert failure.text.startswith(f"{code}: ")


async def test_the_rules_of_the_request_hold(site: str) -> None:
    url = f"{site}/text"
    refused = ToolFailure(ServerToolKind.WEB_FETCH, "url_not_allowed")
    assert await fetched(url, WebFetch(allowed_domains=("example.com",))) == refused
    assert await fetched(url, WebFetch(blocked_domains=("127.0.0.1",))) == refused
    once = tool(WebFetch(max_uses=1))
    assert isinstance(await once.run({"url": url}, dialogue(url)), FetchedPage)
    assert await once.run({"url": url}, dialogue(url)) == ToolFailure(ServerToolKind.WEB_FETCH, "max_uses_exceeded")


async def test_only_urls_of_the_conversation_are_fetched(site: str) -> None:
    url = f"{site}/text"
    unknown = ToolFailure(ServerToolKind.WEB_FETCH, "url_not_in_prior_context")
    assert await tool().run({"url": url}, dialogue("Hello")) == unknown
    assert await tool().run({"url": "https://made.up/"}, dialogue("Hello")) == unknown
    assert isinstance(await tool().run({"url": url}, dialogue(results=[("search", url)])), FetchedPage)
    nothing_of_the_user = WebFetch(from_user=False, from_results=ResultFilter(frozenset({"search"}), only=True))
    assert await tool(nothing_of_the_user).run({"url": url}, dialogue(url, results=[("other", url)])) == unknown
    assert isinstance(await tool(nothing_of_the_user).run({"url": url}, dialogue(results=[("search", url)])), FetchedPage)
