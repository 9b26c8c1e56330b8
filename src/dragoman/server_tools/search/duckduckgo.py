"""DuckDuckGo, by its page for browsers without JavaScript: it needs no key, and refuses clients that ask often."""

from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

from dragoman.parts.server_tools import SearchHit
from dragoman.server_tools.search.http import fetched
from dragoman.server_tools.search.provider import SearchFailed, SearchProvider, SearchQuery, hits_of
from dragoman.worker_pool import POOL, TooExpensive

_BROWSER = {"User-Agent": "Mozilla/5.0 (compatible; dragoman)"}
_MOST_ENTRIES = 50


class DuckDuckGo(SearchProvider):
    """The page of DuckDuckGo at `url`."""

    longest_query = 500

    def __init__(self, url: str) -> None:
        self._url = url

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits. Raises `SearchFailed`."""
        page = await fetched("POST", self._url, form={"q": query.with_sites}, headers=_BROWSER)
        try:
            entries = await POOL.run(entries_of, page.decode("utf-8", "replace"))
        except TooExpensive as error:
            raise SearchFailed("unavailable", f"reading the page {error}") from None
        return hits_of(entries)


def entries_of(page: str) -> list[dict[str, str]]:
    """The results on a page. Raises `SearchFailed` for the page that asks whether the client is a human."""
    reader = _PageReader()
    reader.feed(page)
    if not reader.entries and "anomaly" in page:
        raise SearchFailed("too_many_requests", "the page asks whether the client is a human")
    return [entry for entry in reader.entries if entry["url"]]


class _PageReader(HTMLParser):
    """Reads the links with the classes `result__a` (title) and `result__snippet` (excerpt)."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, str]] = []
        self._field = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        classes = (named.get("class") or "").split()
        if tag != "a":
            return
        if "result__a" in classes and len(self.entries) < _MOST_ENTRIES:
            self.entries.append({"url": _target(named.get("href") or ""), "title": "", "text": ""})
            self._field = "title"
        elif "result__snippet" in classes and self.entries:
            self._field = "text"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._field = ""

    def handle_data(self, data: str) -> None:
        if self._field:
            self.entries[-1][self._field] += data


def _target(link: str) -> str:
    """The page that a link leads to, by way of a redirect of DuckDuckGo or not; empty for an advertisement."""
    parts = urlsplit(link)
    if parts.path == "/l/":
        return parse_qs(parts.query).get("uddg", [""])[0]
    return "" if parts.path == "/y.js" else link
