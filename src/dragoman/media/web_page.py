"""The text of web pages: extracted by trafilatura in worker processes, as Markdown with links.

The main text of a page is returned, without its navigation; if the extractor finds none, all of its text. The extractor is an
optional dependency, imported by the workers only.
"""

import importlib.util
from dataclasses import dataclass
from typing import Final

from dragoman.worker_pool import WorkerPool

_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 600.0
_MOST_BYTES: Final = 4_000_000
"""Bytes of HTML that are read; what is longer takes the extractor too long."""
_EXTRACTOR: Final = "trafilatura"


@dataclass(frozen=True, slots=True)
class WebPage:
    """The title and the text of a page. Both may be empty."""

    title: str
    text: str


class PageReader:
    """Reads web pages. The workers do nothing else: a page that takes long delays no prompt."""

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self._pool = pool or WorkerPool(seconds=_SECONDS, preload=(_EXTRACTOR,), idle_seconds=_IDLE_SECONDS)

    async def read(self, html: bytes, url: str, charset: str = "") -> WebPage:
        """Return the text of a page that is at the URL. Raises `TooExpensive`, and `Overloaded` if no worker becomes free."""
        return await self._pool.run(page_of, html, url, charset)

    async def close(self) -> None:
        """End the workers of this event loop."""
        await self._pool.close()


def is_installed() -> bool:
    """Whether the extractor is installed."""
    return importlib.util.find_spec(_EXTRACTOR) is not None


def page_of(html: bytes, url: str, charset: str) -> WebPage:
    """The title and the text of a page; runs in a worker. `charset` is the declared one, or empty."""
    import trafilatura  # noqa: PLC0415 -- optional, and slow to import
    from trafilatura.settings import use_config  # noqa: PLC0415

    tree = trafilatura.load_html(_decoded(html[:_MOST_BYTES], charset))
    if tree is None:
        return WebPage("", "")
    title = " ".join((tree.findtext(".//title") or "").split())
    config = use_config()
    config.set("DEFAULT", "MIN_EXTRACTED_SIZE", "1")  # short pages are formatted like long ones
    text = trafilatura.extract(
        tree,
        url=url,
        config=config,
        output_format="markdown",
        include_comments=True,
        include_formatting=True,
        include_links=True,
        include_tables=True,
        favor_recall=True,
    )
    return WebPage(title, text or trafilatura.html2txt(tree))


def _decoded(html: bytes, charset: str) -> bytes | str:
    """The text, if its character set is declared and known; otherwise the extractor detects it."""
    try:
        return html.decode(charset, errors="replace") if charset else html
    except LookupError:
        return html
