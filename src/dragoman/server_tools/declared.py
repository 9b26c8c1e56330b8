"""Makes the tools that a request declares, from the operator's settings."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dragoman.conversation import DeclaredServerTool, McpToolset, Tool, ToolSearch, WebFetch, WebSearch
from dragoman.errors import InvalidRequest
from dragoman.media.fetching import Fetcher
from dragoman.media.web_page import PageReader
from dragoman.server_tools.base import ServerTool
from dragoman.server_tools.mcp.listing import McpListings
from dragoman.server_tools.mcp.servers import ListedTool, McpFailure, McpServer
from dragoman.server_tools.mcp.tool import McpTool
from dragoman.server_tools.search.command import Command
from dragoman.server_tools.search.duckduckgo import DuckDuckGo
from dragoman.server_tools.search.provider import SearchProvider
from dragoman.server_tools.search.web_providers import Brave, Searxng, Tavily
from dragoman.server_tools.search.web_search import WebSearchTool
from dragoman.server_tools.settings import SearchSettings, ServerToolSettings
from dragoman.server_tools.tool_search import ToolSearchTool
from dragoman.server_tools.web_fetch import ACCEPT, MOST_BYTES, WebFetchTool

_MOST_TOOLS: Final = 4_000
"""Tools of MCP servers in a request."""


@dataclass(frozen=True, slots=True)
class RequestTools:
    """The tools that the server runs for one request. `listed` are at the top of the prompt, `callable` from the beginning.

    `found` are the names in the results of earlier searches, by the ids of the calls; `by_name` has the tools that they mean.
    `listings` are the tools of MCP servers as these name them, by the names of the servers.
    """

    tools: Sequence[ServerTool] = ()
    listed: Sequence[Tool] = ()
    callable: Sequence[Tool] = ()
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)
    by_name: Mapping[str, Tool] = field(default_factory=dict)
    listings: Mapping[str, Sequence[Tool]] = field(default_factory=dict)


class ServerToolbox:
    """Makes the tools of requests; what they share lives as long as the server. `fetcher` fetches web pages."""

    def __init__(self, settings: ServerToolSettings, fetcher: Fetcher | None = None) -> None:
        self._settings = settings
        self._fetcher = fetcher or Fetcher(MOST_BYTES, accept=ACCEPT)
        self._pages = PageReader()
        self._listings = McpListings()

    async def tools(self, declared: Sequence[DeclaredServerTool], deferred: Sequence[Tool]) -> RequestTools:
        """The tools of one request. `deferred` are the client's tools that a search may find.

        Only such as the settings have on were accepted (`ServerToolSettings.runs`). Raises `InvalidRequest` for an MCP server
        that cannot be used.
        """
        named = [each for each in declared if isinstance(each, McpToolset)]
        toolsets = await asyncio.gather(*map(self._toolset, named))
        used = {tool.name: (tool, later) for toolset in toolsets for tool, later in toolset}
        if len(used) > _MOST_TOOLS:
            raise InvalidRequest.at("mcp_servers", f"the servers have more than {_MOST_TOOLS} tools")
        at_once = [tool for tool, later in used.values() if not later]
        later = [tool for tool, later in used.values() if later]
        searchable = [*deferred, *(tool.tool for tool in later)]
        own = [tool for each in declared if (tool := self._tool(each, searchable))]
        searches = [each for each in declared if isinstance(each, ToolSearch)]
        if not searches:  # nothing could ever find them
            at_once, later = [*at_once, *later], []
        found = {call: names for search in searches for call, names in search.found.items()}
        known = {name for names in found.values() for name in names}
        listed = [tool.tool for tool in (*own, *at_once)]
        return RequestTools(
            [*own, *at_once, *later],
            listed,
            [*listed, *(tool.tool for tool in later if tool.name in known)],
            found,
            {tool.name: tool for tool in searchable},
            {each.server: [tool.listed for tool, _ in toolset] for each, toolset in zip(named, toolsets, strict=True)},
        )

    async def close(self) -> None:
        """End the workers that read pages."""
        await self._pages.close()

    def _tool(self, declared: DeclaredServerTool, searchable: Sequence[Tool]) -> ServerTool | None:
        match declared:
            case WebSearch():
                assert self._settings.search is not None
                return WebSearchTool(declared, provider_of(self._settings.search))
            case WebFetch():
                return WebFetchTool(declared, self._fetcher, self._pages)
            case ToolSearch(name=name):
                return ToolSearchTool(name, searchable)
            case McpToolset():
                return None

    async def _toolset(self, declared: McpToolset) -> Sequence[tuple[McpTool, bool]]:
        """The tools of an MCP server that are used, each with whether it is deferred."""
        server = McpServer(declared.server, declared.url, declared.token, tuple(declared.headers.items()))
        try:
            listed = _pinned(declared) if declared.listed is not None else await self._listings.of(server)
        except McpFailure as failure:
            raise InvalidRequest.at(declared.path, f"the MCP server '{declared.server}' {failure}") from None
        return [
            (McpTool(server, tool), declared.deferred.get(tool.name, declared.deferred_by_default))
            for tool in listed
            if declared.enabled.get(tool.name, declared.enabled_by_default)
        ]


def _pinned(declared: McpToolset) -> Iterator[ListedTool]:
    return (ListedTool(*listed) for listed in declared.listed or ())


def provider_of(settings: SearchSettings) -> SearchProvider:
    """The search provider of the settings."""
    match settings.provider:
        case "searxng":
            return Searxng(settings.place)
        case "brave":
            return Brave(settings.place, settings.key)
        case "tavily":
            return Tavily(settings.place, settings.key)
        case "duckduckgo":
            return DuckDuckGo(settings.place)
        case "command":
            return Command(settings.place)
        case _:
            raise ValueError(settings.provider)
