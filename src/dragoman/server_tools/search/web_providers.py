"""The search providers that are asked over HTTP: SearXNG, Brave and Tavily."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from dragoman.parts.server_tools import SearchHit
from dragoman.server_tools.search.http import decoded, fetched
from dragoman.server_tools.search.provider import MOST_HITS, SearchProvider, SearchQuery, hits_of, joined


class Searxng(SearchProvider):
    """A SearXNG server, whose settings must list `json` among `search.formats`."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/search"

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits. Raises `SearchFailed`."""
        params = {"q": query.with_sites, "format": "json"}
        answer = decoded(await fetched("GET", self._url, params=params))
        return [
            replace(hit, age=hit.age.partition("T")[0]) for hit in hits_of(answer.get("results"), "content", "publishedDate")
        ]


class Brave(SearchProvider):
    """The search API of Brave."""

    longest_query = 400

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits. Raises `SearchFailed`."""
        place = query.location
        params = {"q": query.with_sites, "count": str(MOST_HITS), "text_decorations": "false", "extra_snippets": "true"}
        if place and len(place.country) == 2:
            params["country"] = place.country.upper()
        answer = decoded(await fetched("GET", self._url, params=params, headers={"X-Subscription-Token": self._key}))
        web = answer.get("web")
        entries = web.get("results") if isinstance(web, dict) else []  # a search without hits has no `web`
        return hits_of(_with_snippets(entries), "description")


def _with_snippets(entries: Any) -> Any:
    """The entries with their additional excerpts in their description."""
    if not isinstance(entries, list):
        return entries
    return [
        {**entry, "description": joined([entry.get("description"), *extra])}
        if isinstance(entry, dict) and isinstance(extra := entry.get("extra_snippets"), list)
        else entry
        for entry in entries
    ]


class Tavily(SearchProvider):
    """The search API of Tavily, which takes domains in fields of their own."""

    longest_query = 400

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits. Raises `SearchFailed`."""
        body = {
            "query": query.words,
            "max_results": MOST_HITS,
            "include_domains": [domain.partition("/")[0] for domain in query.allowed_domains],
            "exclude_domains": [domain for domain in query.blocked_domains if "/" not in domain],
        }
        answer = decoded(await fetched("POST", self._url, body=body, headers={"Authorization": f"Bearer {self._key}"}))
        return hits_of(answer.get("results"), "content", "published_date")
