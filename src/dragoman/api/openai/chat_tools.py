"""The tools that a chat completions request declares, and its tool choice, also in their older form."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel
from dragoman.api.openai.custom_tools import AnyText, GrammarText, custom_tool
from dragoman.conversation.types import Tool

_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


class Function(WireModel):
    """A declared function."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def neutral(self) -> Tool:
        """The function as the model gets it."""
        schema = {"type": "object", "properties": {}, **(self.parameters or {})}
        return Tool(self.name, self.description or "", schema, bool(self.strict))


class Grammar(WireModel):
    """An input that a grammar describes."""

    type: Literal["grammar"]
    grammar: GrammarText


class Custom(WireModel):
    """A declared custom tool."""

    name: _Name
    description: str | None = None
    format: Annotated[AnyText | Grammar, Field(discriminator="type")] | None = None

    @property
    def grammar(self) -> GrammarText | None:
        """The grammar of its input; None for any text."""
        return self.format.grammar if isinstance(self.format, Grammar) else None

    @property
    def neutral(self) -> Tool:
        """The tool as the model gets it."""
        return custom_tool(self.name, self.description or "", self.grammar)


class FunctionTool(WireModel):
    """A function that the client runs."""

    type: Literal["function"]
    function: Function

    @property
    def declared(self) -> Function:
        """The function."""
        return self.function


class CustomTool(WireModel):
    """A tool with plain text as its input."""

    type: Literal["custom"]
    custom: Custom

    @property
    def declared(self) -> Custom:
        """The tool."""
        return self.custom


AnyTool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class ToolName(WireModel):
    """The name of a tool."""

    name: str


class FunctionChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"]
    function: ToolName

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.name


class CustomChoice(WireModel):
    """The model must call this custom tool."""

    type: Literal["custom"]
    custom: ToolName

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.custom.name


NamedChoice = Annotated[FunctionChoice | CustomChoice, Field(discriminator="type")]


class Allowed(WireModel):
    """The tools that the model may call, or of which it must call one."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1)]


class AllowedTools(WireModel):
    """The model may, or must, call one of these tools; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed

    @property
    def names(self) -> Sequence[str]:
        """The names of the tools."""
        return [choice.name for choice in self.allowed_tools.tools]


def _choice_kind(value: object) -> str | None:
    if isinstance(value, str):
        return "(word)"
    if not isinstance(value, dict):
        return None
    return "(allowed)" if value.get("type") == "allowed_tools" else "(named)"


AnyChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[AllowedTools, Tag("(allowed)")]
    | Annotated[NamedChoice, Tag("(named)")],
    Discriminator(_choice_kind, custom_error_type="tool_choice", custom_error_message="Input should be a string or an object"),
]


def _function_call_kind(value: object) -> str:
    return "(word)" if isinstance(value, str) else "(named)"


AnyFunctionCall = Annotated[
    Annotated[Literal["none", "auto"], Tag("(word)")] | Annotated[ToolName, Tag("(named)")],
    Discriminator(_function_call_kind),
]
