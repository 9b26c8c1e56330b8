"""The operator's settings for the tools that the server runs. Each is off until it is configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from yarl import URL

_DEFAULT_URLS: Final = {
    "brave": "https://api.search.brave.com/res/v1/web/search",
    "tavily": "https://api.tavily.com/search",
    "duckduckgo": "https://html.duckduckgo.com/html/",
}
PROVIDERS: Final = ("searxng", "brave", "tavily", "duckduckgo", "command")
_WITH_KEY: Final = frozenset({"brave", "tavily"})
TOOL_SEARCHES: Final = frozenset({"tool_search_tool_regex", "tool_search_tool_bm25"})
"""They are always on: they search the request itself."""


class UnusableProvider(ValueError):
    """Raised for a provider that cannot be used as it is given; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The search provider. `place` is its URL, or the command."""

    provider: str
    place: str
    key: str = ""

    @classmethod
    def of(cls, given: str, key: str) -> "SearchSettings":
        """The settings for `PROVIDER[:URL]`, or `command:COMMAND`. Raises `UnusableProvider`."""
        provider, _, place = given.partition(":")
        if provider not in PROVIDERS:
            raise UnusableProvider(f"{provider!r} is not a provider; there are {', '.join(PROVIDERS)}")
        place = place or _DEFAULT_URLS.get(provider, "")
        if not place:
            needed = "the command: command:/path/to/program" if provider == "command" else "its URL: searxng:http://HOST:PORT"
            raise UnusableProvider(f"{provider} needs {needed}")
        if provider != "command" and not place.startswith(("http://", "https://")):
            raise UnusableProvider(f"{place!r} is not an http or https URL")
        if provider in _WITH_KEY and not key:
            raise UnusableProvider(f"{provider} needs a key")
        return cls(provider, place, key)


@dataclass(frozen=True, slots=True)
class ServerToolSettings:
    """The settings of all tools. Those that read the web or call other servers are off until they are set.

    `fetch`: web pages are fetched. `mcp_hosts` are the hosts of MCP servers that requests may name, with or without a port.
    """

    search: SearchSettings | None = None
    fetch: bool = False
    mcp_hosts: frozenset[str] = frozenset()

    @property
    def runs(self) -> frozenset[str]:
        """The names of the tools that are on."""
        on: Mapping[str, object] = {"web_search": self.search, "web_fetch": self.fetch, "mcp": self.mcp_hosts}
        return frozenset({*TOOL_SEARCHES, *(name for name, setting in on.items() if setting)})

    def allows_mcp(self, url: str) -> bool:
        """Whether requests may name an MCP server at this URL."""
        try:
            place = URL(url)
        except ValueError:
            return False
        if place.scheme not in ("http", "https") or not place.host or place.user or place.password:
            return False
        return bool({place.host.lower(), f"{place.host.lower()}:{place.port}"} & self.mcp_hosts)
