"""The tools that a request declares, in `tools` or in messages (contract §11)."""

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.base import WireModel


class Tool(WireModel):
    """The base of tools (TOOL-1). `eager_input_streaming` has no effect: arguments are always streamed at once."""

    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: list[dict[str, Any]] | None = None


class CustomTool(Tool):
    """A tool that the client defines and runs (TOOL-1, TOOL-2)."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any]


class DefinedTool(Tool):
    """A tool that Anthropic defines and names by its type, `bash_20250124` or `web_search_20250305` (TOOL-14, TOOL-15)."""

    type: str
    name: str | None = None
    max_characters: Annotated[int, Field(ge=1)] | None = None


class Location(WireModel):
    """Where the user of a search is."""

    type: Literal["approximate"]
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class WebSearchTool(Tool):
    """The web search that the server runs, in any of its versions (TOOL-15)."""

    type: Annotated[str, Field(pattern=r"^web_search_[0-9]{8}$")]
    name: Literal["web_search"]
    max_uses: Annotated[int, Field(gt=0)] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: Location | None = None
    response_inclusion: Literal["full", "excluded"] | None = None


class Citations(WireModel):
    """Whether the answer should cite its sources."""

    enabled: bool | None = None


class EverySource(WireModel):
    """All texts of a kind, or none."""

    type: Literal["all", "none"]


class NamedTool(WireModel):
    """A tool of this request."""

    type: Literal["tool_reference"]
    name: str


class SomeTools(WireModel):
    """The results of these tools only, or of all but these."""

    type: Literal["only", "except"]
    tools: list[NamedTool]


ToolFilter = Annotated[EverySource | SomeTools, Field(discriminator="type")]


class UrlSources(WireModel):
    """The texts whose URLs may be fetched."""

    user_input: EverySource | None = None
    client_tool_results: ToolFilter | None = None
    server_tool_results: ToolFilter | None = None


class WebFetchTool(Tool):
    """The reading of web pages that the server does, in any of its versions (TOOL-15)."""

    type: Annotated[str, Field(pattern=r"^web_fetch_[0-9]{8}$")]
    name: Literal["web_fetch"]
    max_uses: Annotated[int, Field(gt=0)] | None = None
    max_content_tokens: Annotated[int, Field(gt=0)] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    citations: Citations | None = None
    url_sources: UrlSources | None = None
    # May be ignored: pages are always fetched anew, and no code of the model calls tools.
    use_cache: bool | None = None
    response_inclusion: Literal["full", "excluded"] | None = None

    @property
    def wants_citations(self) -> bool:
        """Whether citations are enabled."""
        return bool(self.citations and self.citations.enabled)


class ToolSearchTool(Tool):
    """The search for deferred tools that the server runs (TOOL-12)."""

    type: Literal[
        "tool_search_tool_regex_20251119", "tool_search_tool_regex", "tool_search_tool_bm25_20251119", "tool_search_tool_bm25"
    ]
    name: Literal["tool_search_tool_regex", "tool_search_tool_bm25"]


class McpToolConfig(WireModel):
    """Whether a tool of an MCP server is used, and whether it is deferred."""

    enabled: bool | None = None
    defer_loading: bool | None = None


class ListedMcpTool(WireModel):
    """A tool as its MCP server listed it."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any]


class McpToolset(Tool):
    """The tools of one entry of `mcp_servers`."""

    type: Literal["mcp_toolset"]
    name: None = None
    mcp_server_name: str
    default_config: McpToolConfig | None = None
    configs: dict[str, McpToolConfig] | None = None
    tools: list[ListedMcpTool] | None = None


class McpToolConfiguration(WireModel):
    """Which tools of a server are used, in the older form."""

    enabled: bool | None = None
    allowed_tools: list[str] | None = None


class McpServer(WireModel):
    """An MCP server whose tools this server calls (BETA-4)."""

    type: Literal["url"]
    url: str
    name: Annotated[str, Field(min_length=1, max_length=100)]
    authorization_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")] | None = None
    tool_configuration: McpToolConfiguration | None = None


ServerTool = WebSearchTool | WebFetchTool | ToolSearchTool | McpToolset
"""A tool that the server runs."""

_SERVER_TOOLS: Final = {
    "web_search_": "(web_search)",
    "web_fetch_": "(web_fetch)",
    "tool_search_tool_": "(tool_search)",
    "mcp_toolset": "(mcp_toolset)",
}


def _tool_kind(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind in (None, "custom"):
        return "custom"
    kinds = (tag for prefix, tag in _SERVER_TOOLS.items() if isinstance(kind, str) and kind.startswith(prefix))
    return next(kinds, "(defined)")


AnyTool = Annotated[
    Annotated[CustomTool, Tag("custom")]
    | Annotated[WebSearchTool, Tag("(web_search)")]
    | Annotated[WebFetchTool, Tag("(web_fetch)")]
    | Annotated[ToolSearchTool, Tag("(tool_search)")]
    | Annotated[McpToolset, Tag("(mcp_toolset)")]
    | Annotated[DefinedTool, Tag("(defined)")],
    Discriminator(_tool_kind, custom_error_type="tool", custom_error_message="Input should be a valid dictionary"),
]
