"""The items of web searches: their events, what an item keeps of a search, and how it is read from there in a later request.

The call and its result are one item. What the model read is in its `encrypted_content`, signed like reasoning: a field of this
server, which clients send back as they send back the others. Where it is missing, the model reads that there was a search.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.items import WebSearchCall
from dragoman.api.openai.responses.response import SearchAction, SearchSource, WebSearchItem
from dragoman.api.openai.responses.running_calls import DoneCall, RunningCall
from dragoman.api.openai.responses.tools import WEB_SEARCH
from dragoman.api.sealed import sealed, unsealed
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.types import Text, ToolCall, ToolResult
from dragoman.conversation.web_results import searched
from dragoman.parts.server_tools import SearchHit, SearchHits, ServerCallStart, ServerToolKind, ServerToolOutput, ToolFailure

_ID: Final = "ws_"


class KeptSearch(Struct, frozen=True):
    """A search as an item keeps it: the id and the input of the call, and the hits or an error code.

    `round` is that of the answer: calls of one round were made side by side.
    """

    call_id: str
    input: Mapping[str, Any]
    round: int = 0
    hits: tuple[SearchHit, ...] = ()
    code: str = ""


def kept_search(item: WebSearchCall, *, cites: bool) -> DoneCall | None:
    """The search in an item of this server; None if it is damaged, or of another server. `cites`: answers may cite its hits."""
    kept = unsealed(item.encrypted_content or "", KeptSearch)
    if kept is None:
        return None
    if kept.code:
        text = ToolFailure(ServerToolKind.WEB_SEARCH, kept.code).text
        result = ToolResult.of_text(kept.call_id, WEB_SEARCH, text, is_error=True)
    else:
        result = ToolResult(kept.call_id, WEB_SEARCH, searched(kept.hits, cites=cites), is_error=False)
    return DoneCall(ToolCall(kept.call_id, WEB_SEARCH, kept.input), result, kept.round)


def searched_text(item: WebSearchCall) -> Text:
    """The text that says that there was a search, without what it found."""
    action = {name: value for name, value in (item.action or {}).items() if isinstance(value, str) and name != "type"}
    return Text(f"<web_search_call>\n{json.dumps(action, ensure_ascii=False)}\n</web_search_call>")


class RunningSearch(RunningCall):
    """A web search. Its item begins when its input is whole, as it shows the query."""

    def __init__(self, start: ServerCallStart, index: int, round_: int, numbers: Iterator[int]) -> None:
        super().__init__(index, numbers)
        self._kept = KeptSearch(start.id, {}, round_)
        self._pieces: list[str] = []
        self.item: WebSearchItem = WebSearchItem(f"{_ID}{start.id.partition('_')[2]}")

    def begin(self) -> Iterator[Event]:
        """Yield nothing."""
        yield from ()

    def add(self, text: str) -> Iterator[Event]:
        """Yield nothing."""
        self._pieces.append(text)
        yield from ()

    def close(self) -> Iterator[Event]:
        """Yield the events with which the item begins."""
        self._kept = replace(self._kept, input=called_with("".join(self._pieces)))
        query = self._kept.input.get("query")
        words = query if isinstance(query, str) else ""
        self.item = replace(self.item, action=SearchAction(words, (words,)))
        yield events.ItemAdded(next(self.numbers), self.index, self.item)
        yield self.event(events.SearchInProgress)
        yield self.event(events.SearchSearching)

    def end(self, output: ServerToolOutput) -> Iterator[Event]:
        """Yield the events with which it ends; from then on `item` is whole."""
        if isinstance(output, SearchHits):
            sources = tuple(SearchSource(hit.url) for hit in output.hits)
            kept, status = replace(self._kept, hits=output.hits), "completed"
        else:
            sources, status = (), "failed"
            kept = replace(self._kept, code=output.code if isinstance(output, ToolFailure) else "unavailable")
        action = replace(self.item.action, sources=sources)
        self.item = replace(self.item, status=status, action=action, encrypted_content=sealed(kept))
        if status == "completed":
            yield self.event(events.SearchCompleted)
        yield events.ItemDone(next(self.numbers), self.index, self.item)
