"""The tools that a request declares, the tool choice, and the names under which the model sees the tools."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Struct
from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel
from dragoman.api.openai.responses.lark_grammar import lark_pattern
from dragoman.conversation.types import Tool

INPUT: Final = "input"
"""The argument by which the model gives the input of a custom tool: models are trained on calls with JSON arguments only."""
_KINDS: Final = {"lark": "Its input matches this Lark grammar:", "regex": "Its input matches this regular expression:"}
_BETWEEN: Final = "__"
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


class AnyText(WireModel):
    """An input of any text."""

    type: Literal["text"]


class Grammar(WireModel):
    """An input that a grammar describes."""

    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(WireModel):
    """A tool with plain text as its input."""

    type: Literal["custom"]
    name: _Name
    description: str | None = None
    format: Annotated[AnyText | Grammar, Field(discriminator="type")] | None = None
    defer_loading: Any = None
    allowed_callers: Any = None


class Namespace(WireModel):
    """A group of tools; a call names the namespace and the tool."""

    type: Literal["namespace"]
    name: _Name
    description: str | None = None
    tools: list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]]


class HostedTool(WireModel):
    """A tool that OpenAI's servers run, such as a web search."""

    open: ClassVar = True

    type: str
    external_web_access: Any = None

    @property
    def finds_nothing(self) -> bool:
        """Whether it is a search that may not access the web: without an index of the server's own it has no results."""
        return self.type.startswith("web_search") and self.external_web_access is False


def _kind(value: object) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    return f"({kind})" if kind in ("function", "custom", "namespace") else "(hosted)"


AnyTool = Annotated[
    Annotated[FunctionTool, Tag("(function)")]
    | Annotated[CustomTool, Tag("(custom)")]
    | Annotated[Namespace, Tag("(namespace)")]
    | Annotated[HostedTool, Tag("(hosted)")],
    Discriminator(_kind, custom_error_type="tool", custom_error_message="Input should be an object with a type"),
]


class NamedChoice(WireModel):
    """The model must call this tool. A choice of another type is one of a hosted tool."""

    type: str
    name: str | None = None
    namespace: str | None = None


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
        pattern = pattern_of(self.tool)
        if isinstance(self.tool.format, Grammar):
            words = f"{words}\n\n{_KINDS[self.tool.format.syntax]}\n{self.tool.format.definition}".strip()
        schema = _input_schema("The input as plain text.", pattern)
        return Tool(self.name.flat, words, schema, strict=pattern is not None)


def _input_schema(description: str, pattern: str | None) -> dict[str, Any]:
    text = {"type": "string", "description": description, **({} if pattern is None else {"pattern": pattern})}
    return {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}


def pattern_of(tool: CustomTool) -> str | None:
    """The pattern that the input of a custom tool matches from end to end; None for any text. Raises `UnsupportedGrammar`."""
    if not isinstance(tool.format, Grammar):
        return None
    definition = tool.format.definition
    return f"^(?:{lark_pattern(definition) if tool.format.syntax == 'lark' else definition})$"


def offered(tools: Sequence[FunctionTool | CustomTool | Namespace | HostedTool] | None) -> Iterator[Offered]:
    """The tools that the client runs, in their order; those of a namespace stand in its place."""
    for index, tool in enumerate(tools or ()):
        match tool:
            case FunctionTool() | CustomTool():
                yield _offered(tool, f"tools.{index}")
            case Namespace():
                for place, inner in enumerate(tool.tools):
                    yield _offered(inner, f"tools.{index}.tools.{place}", tool)
            case HostedTool():
                pass


def _offered(tool: FunctionTool | CustomTool, path: str, namespace: Namespace | None = None) -> Offered:
    name = ToolName(tool.name, namespace.name if namespace else None, custom=isinstance(tool, CustomTool))
    return Offered(name, tool, path, (namespace.description or "") if namespace else "")


def chosen(choice: NamedChoice, names: Sequence[ToolName]) -> ToolName | None:
    """The tool that a choice names; None if there is none."""
    wanted = [name for name in names if choice.name in (name.name, name.flat) and name.custom == (choice.type == "custom")]
    return next((name for name in wanted if choice.namespace in (None, name.namespace)), None)


def by_flat_name(tools: Sequence[Offered]) -> Mapping[str, ToolName]:
    """The names for the client by those for the model, where they differ or the tool is a custom one."""
    return {tool.name.flat: tool.name for tool in tools if tool.name.custom or tool.name.namespace}
