"""The calls of tools that the server runs, and their results, as neutral values.

A result is shown to the client as blocks of its API format, and read by the model as text. What it reads comes from the value
itself, so that a result that the client sends back in a later request gives the same text as in the answer that it is from.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

_OWN: Final = "dgm"
"""What follows the prefix of the ids of our own calls: results of other servers are read in another way (IN-12)."""


class ServerToolKind(StrEnum):
    """The kinds of tools that the server runs. Each has result blocks and error codes of its own."""

    WEB_SEARCH = "web_search"
    WEB_FETCH = "web_fetch"
    TOOL_SEARCH = "tool_search"
    MCP = "mcp"


class ServerCallStart(Struct, frozen=True):
    """The start of a call of a tool that the server runs; `CallDelta`s and a `CallEnd` follow, as with other calls.

    `name` is the name that the client knows, `id` begins with the prefix of its kind. `server` is set for tools of MCP servers.
    """

    kind: ServerToolKind
    name: str
    id: str
    server: str = ""


class SearchHit(Struct, frozen=True):
    """One hit of a web search. `text` is what the model reads of the page, `age` when it changed, in words; may be empty."""

    url: str
    title: str
    text: str = ""
    age: str = ""


class SearchHits(Struct, frozen=True):
    """The hits of a web search; possibly none."""

    hits: tuple[SearchHit, ...]

    @property
    def text(self) -> str:
        """The hits as text for people."""
        return "\n\n".join(_described(number, hit) for number, hit in enumerate(self.hits, 1)) or "The search found nothing."


def _described(number: int, hit: SearchHit) -> str:
    age = f" ({hit.age})" if hit.age else ""
    return "\n".join(filter(None, (f"[{number}] {hit.title}{age}", hit.url, hit.text)))


class FetchedPage(Struct, frozen=True):
    """What was fetched from a URL: text, or a PDF as base64.

    `url` is where it was found, `retrieved_at` when, in ISO 8601. `title` may be empty. With `cites`, answers cite it.
    """

    url: str
    title: str
    content: str
    is_pdf: bool = False
    retrieved_at: str = ""
    cites: bool = False

    @property
    def text(self) -> str:
        """The page as text for people; of a PDF, its title and URL."""
        head = "\n".join(filter(None, (self.title, self.url)))
        return head if self.is_pdf else f"{head}\n\n{self.content}"


class FoundTools(Struct, frozen=True):
    """The tools that a tool search found, by name; possibly none. The model also reads their descriptions."""

    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text for the model, without the descriptions."""
        return "\n".join(self.names) or "The search found no tools."


class McpContent(Struct, frozen=True):
    """The result of a tool of an MCP server, as texts."""

    texts: tuple[str, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text for the model."""
        return "\n".join(self.texts)


_REASONS: Final = {
    "content_too_large": "the content is too large",
    "execution_time_exceeded": "it took too long",
    "invalid_tool_input": "the input of the call is not valid",
    "max_uses_exceeded": "this tool was used as often as the request allows; answer without it",
    "query_too_long": "the query is too long",
    "request_too_large": "the request is too large",
    "too_many_requests": "there were too many requests; try again later, or answer without it",
    "unavailable": "the tool does not work at the moment; answer without it",
    "unsupported_content_type": "only text, web pages and PDFs can be read",
    "url_not_accessible": "nothing can be read at this URL",
    "url_not_allowed": "this URL may not be fetched",
    "url_not_in_prior_context": "only URLs that the user or an earlier result gave may be fetched",
    "url_too_long": "the URL is too long",
}


class ToolFailure(Struct, frozen=True):
    """The result of a call that failed, with the error code that the API documents for this kind of tool.

    `message` says more, for tool searches only: the other kinds have no field for it.
    """

    kind: ServerToolKind
    code: str
    message: str = ""

    @property
    def text(self) -> str:
        """The text for the model."""
        reason = self.message or _REASONS.get(self.code)
        return f"{self.code}: {reason}" if reason else self.code


ServerToolOutput = SearchHits | FetchedPage | FoundTools | McpContent | ToolFailure
"""What a server tool returns."""


def is_failure(output: ServerToolOutput) -> bool:
    """Whether an output is that of a failed call."""
    return isinstance(output, ToolFailure) or (isinstance(output, McpContent) and output.is_error)


class ServerResult(Struct, frozen=True):
    """The result of the call with the id `call_id`, whole."""

    kind: ServerToolKind
    call_id: str
    output: ServerToolOutput


def own_call_id(prefix: str, call_id: str) -> str:
    """The id of our own call with this prefix, from the id that the output policies gave the call."""
    return f"{prefix}{_OWN}{call_id.removeprefix('toolu_')}"


def is_own_call_id(call_id: str) -> bool:
    """Whether this server made the id: it has `_OWN` after its prefix."""
    return call_id.partition("_")[2].startswith(_OWN)
