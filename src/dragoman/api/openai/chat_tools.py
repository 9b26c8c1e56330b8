"""The tools that a chat completions request declares, and its tool choice, also in their older form."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel


class Function(WireModel):
    """A declared function."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(WireModel):
    """A tool that the client runs."""

    type: Literal["function"]
    function: Function


class FunctionName(WireModel):
    """The name of a function."""

    name: str


class NamedChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"]
    function: FunctionName


class Allowed(WireModel):
    """The functions that the model may call, or of which it must call one."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1)]


class AllowedTools(WireModel):
    """The model may, or must, call one of these functions; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed

    @property
    def names(self) -> Sequence[str]:
        """The names of the functions."""
        return [choice.function.name for choice in self.allowed_tools.tools]


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
    Annotated[Literal["none", "auto"], Tag("(word)")] | Annotated[FunctionName, Tag("(named)")],
    Discriminator(_function_call_kind),
]
