"""The tools that a request declares, the tool choice, and the names under which the model sees the tools."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Struct
from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel
from dragoman.api.openai.custom_tools import AnyText, GrammarText, custom_tool
from dragoman.api.openai.responses.mcp_tool import McpTool
from dragoman.conversation.server_tools import UserLocation, WebSearch
from dragoman.conversation.types import Tool

_BETWEEN: Final = "__"
WEB_SEARCH: Final = "web_search"
"""The name of the web search for the model, and the beginning of its types."""
_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


class FunctionTool(WireModel):
    """A function that the client runs."""

    type: Literal["function"]
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    # May be ignored: all tools are listed, and the model calls them itself.
    defer_loading: Any = None
    allowed_callers: Any = None
    output_schema: Any = None


class Grammar(GrammarText):
    """An input that a grammar describes."""

    type: Literal["grammar"]


class CustomTool(WireModel):
    """A tool with plain text as its input."""

    type: Literal["custom"]
    name: _Name
    description: str | None = None
    format: Annotated[AnyText | Grammar, Field(discriminator="type")] | None = None
    defer_loading: Any = None
    allowed_callers: Any = None

    @property
    def grammar(self) -> Grammar | None:
        """The grammar of its input; None for any text."""
        return self.format if isinstance(self.format, Grammar) else None


class Namespace(WireModel):
    """A group of tools; a call names the namespace and the tool."""

    type: Literal["namespace"]
    name: _Name
    description: str | None = None
    tools: list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]]


class HostedTool(WireModel):
    """A tool that OpenAI's servers run and this server does not."""

    open: ClassVar = True

    type: str


class SearchFilters(WireModel):
    """Which pages a search finds."""

    allowed_domains: list[str] | None = None


class SearchLocation(WireModel):
    """Where the user of a search is."""

    type: Literal["approximate"] | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class WebSearchTool(WireModel):
    """A web search, in any of its versions. The size of its context has no effect."""

    type: Annotated[str, Field(pattern=r"^web_search(_preview)?(_[0-9]{4}_[0-9]{2}_[0-9]{2})?$")]
    external_web_access: Any = None
    filters: SearchFilters | None = None
    user_location: SearchLocation | None = None
    search_context_size: Any = None
    search_content_types: Any = None
    index_gated_web_access: Any = None

    @property
    def finds_nothing(self) -> bool:
        """Whether it may not access the web: without an index of the server's own it has no results."""
        return self.external_web_access is False

    @property
    def domains(self) -> Sequence[str]:
        """The domains that it may find; none for all."""
        return (self.filters.allowed_domains if self.filters else None) or ()

    def declared(self, *, cites: bool) -> WebSearch:
        """The search in neutral form. `cites`: answers may cite its hits."""
        return WebSearch(allowed_domains=tuple(self.domains), location=UserLocation.of(self.user_location), cites=cites)


def _kind(value: object) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    if kind.startswith(WEB_SEARCH):
        return "(web_search)"
    return f"({kind})" if kind in ("function", "custom", "namespace", "mcp") else "(hosted)"


AnyTool = Annotated[
    Annotated[FunctionTool, Tag("(function)")]
    | Annotated[CustomTool, Tag("(custom)")]
    | Annotated[Namespace, Tag("(namespace)")]
    | Annotated[WebSearchTool, Tag("(web_search)")]
    | Annotated[McpTool, Tag("(mcp)")]
    | Annotated[HostedTool, Tag("(hosted)")],
    Discriminator(_kind, custom_error_type="tool", custom_error_message="Input should be an object with a type"),
]


class NamedChoice(WireModel):
    """The model must call this tool. A choice of another type is one of a hosted tool, or of an MCP server."""

    type: str
    name: str | None = None
    namespace: str | None = None
    server_label: str | None = None

    @property
    def is_search(self) -> bool:
        """Whether it is the web search."""
        return self.type.startswith(WEB_SEARCH)


class AllowedTools(WireModel):
    """The model may, or must, call one of these tools; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedChoice]


def _choice(value: object) -> str | None:
    if isinstance(value, str):
        return "(word)"
    if not isinstance(value, dict):
        return None
    return "(allowed)" if value.get("type") == "allowed_tools" else "(named)"


AnyChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[AllowedTools, Tag("(allowed)")]
    | Annotated[NamedChoice, Tag("(named)")],
    Discriminator(_choice, custom_error_type="tool_choice", custom_error_message="Input should be a string or an object"),
]


class ToolName(Struct, frozen=True):
    """The name of a tool for the client. `custom`: its calls have plain text as their input."""

    name: str
    namespace: str | None = None
    custom: bool = False

    @property
    def flat(self) -> str:
        """The name for the model, which has no namespaces."""
        return f"{self.namespace}{_BETWEEN}{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Offered:
    """A declared tool with its name and its path in the request. `context` is the description of its namespace."""

    name: ToolName
    tool: FunctionTool | CustomTool
    path: str
    context: str = ""

    @property
    def neutral(self) -> Tool:
        """The tool as the model gets it."""
        words = "\n\n".join(filter(None, (self.context, self.tool.description)))
        if isinstance(self.tool, FunctionTool):
            schema = {"type": "object", "properties": {}, **(self.tool.parameters or {})}
            return Tool(self.name.flat, words, schema, bool(self.tool.strict))
        return custom_tool(self.name.flat, words, self.tool.grammar)


AnyToolModel = FunctionTool | CustomTool | Namespace | WebSearchTool | McpTool | HostedTool


def searches(tools: Sequence[AnyToolModel] | None) -> Sequence[WebSearchTool]:
    """The web searches that may access the web."""
    return [tool for tool in tools or () if isinstance(tool, WebSearchTool) and not tool.finds_nothing]


def mcp_servers(tools: Sequence[AnyToolModel] | None) -> Mapping[str, tuple[McpTool, str]]:
    """The MCP servers by their labels, each with its path in the request."""
    return {tool.server_label: (tool, f"tools.{index}") for index, tool in enumerate(tools or ()) if isinstance(tool, McpTool)}


def offered(tools: Sequence[AnyToolModel] | None) -> Iterator[Offered]:
    """The tools that the client runs, in their order; those of a namespace stand in its place."""
    for index, tool in enumerate(tools or ()):
        match tool:
            case FunctionTool() | CustomTool():
                yield _offered(tool, f"tools.{index}")
            case Namespace():
                for place, inner in enumerate(tool.tools):
                    yield _offered(inner, f"tools.{index}.tools.{place}", tool)
            case WebSearchTool() | McpTool() | HostedTool():
                pass


def _offered(tool: FunctionTool | CustomTool, path: str, namespace: Namespace | None = None) -> Offered:
    name = ToolName(tool.name, namespace.name if namespace else None, custom=isinstance(tool, CustomTool))
    return Offered(name, tool, path, (namespace.description or "") if namespace else "")


def chosen(choice: NamedChoice, names: Sequence[ToolName]) -> ToolName | None:
    """The tool of the client that a choice names; None if there is none."""
    wanted = [name for name in names if choice.name in (name.name, name.flat) and name.custom == (choice.type == "custom")]
    return next((name for name in wanted if choice.namespace in (None, name.namespace)), None)


def by_flat_name(tools: Sequence[Offered]) -> Mapping[str, ToolName]:
    """The names for the client by those for the model, where they differ or the tool is a custom one."""
    return {tool.name.flat: tool.name for tool in tools if tool.name.custom or tool.name.namespace}
