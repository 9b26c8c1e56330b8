"""The tool `web_search`: asks a search provider, under the rules of the request."""

import logging
from collections.abc import Sequence
from typing import Final

from yarl import URL

from dragoman.conversation import Attachment, Dialogue, Text, UserLocation, WebSearch
from dragoman.conversation.types import JsonObject
from dragoman.conversation.web_results import searched
from dragoman.parts.server_tools import SearchHits, ServerToolKind, ServerToolOutput
from dragoman.server_tools.domains import DomainRules
from dragoman.server_tools.search.provider import MOST_HITS, SearchFailed, SearchProvider, SearchQuery
from dragoman.server_tools.text_tool import TextTool

_LOG = logging.getLogger(__name__)

_LONGEST: Final = 200
"""Characters of a query in a constrained call."""


class WebSearchTool(TextTool):
    """A web search as one request declares it; it counts its uses."""

    kind = ServerToolKind.WEB_SEARCH

    def __init__(self, declared: WebSearch, provider: SearchProvider) -> None:
        longest = min(_LONGEST, provider.longest_query)
        super().__init__("web_search", _description(declared), "query", "What to search for.", longest)
        self._declared = declared
        self._provider = provider
        self._rules = DomainRules(tuple(declared.allowed_domains), tuple(declared.blocked_domains))
        self._uses = 0

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        """Search for the words of the call."""
        words = " ".join(call["query"].split())
        if not words:
            return self.failure("invalid_tool_input")
        if len(words) > self._provider.longest_query:
            return self.failure("query_too_long")
        if self._declared.max_uses is not None and self._uses >= self._declared.max_uses:
            return self.failure("max_uses_exceeded")
        self._uses += 1
        query = SearchQuery(words, self._rules.allowed, self._rules.blocked, self._declared.location)
        try:
            hits = await self._provider.search(query)
        except SearchFailed as error:
            _LOG.warning("a web search failed: %s", error.message)
            return self.failure(error.code)
        return SearchHits(tuple(hit for hit in hits if self._rules.permit(URL(hit.url)))[:MOST_HITS])

    def for_model(self, output: ServerToolOutput) -> Sequence[Text | Attachment]:
        """The hits as attachments, which the answer may cite."""
        return (
            searched(output.hits, cites=self._declared.cites) if isinstance(output, SearchHits) else super().for_model(output)
        )


def _description(declared: WebSearch) -> str:
    """The description for the model, which says what the request allows."""
    sentences = [
        "Search the web. The result lists pages with their titles, URLs and excerpts.",
        "Use it for what is recent, or what you do not know, and name the URLs of the pages that you rely on.",
    ]
    if declared.allowed_domains:
        sentences.append(f"Only pages of these domains are found: {', '.join(declared.allowed_domains)}.")
    if declared.max_uses is not None:
        sentences.append(f"It can be used at most {declared.max_uses} times for an answer.")
    if declared.location:
        sentences.append(f"The user is near {_place(declared.location)}.")
    return " ".join(sentences)


def _place(location: UserLocation) -> str:
    place = ", ".join(filter(None, (location.city, location.region, location.country)))
    zone = f"the time zone {location.timezone}" if location.timezone else ""
    return f"{place} ({zone})" if place and zone else place or zone
