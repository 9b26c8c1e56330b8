"""The items of `input`: messages, calls and their outputs, reasoning, references to stored items."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Discriminator, Field, Tag

from dragoman.api.base import PlainOrList, WireModel
from dragoman.api.openai.parts import (
    FilePart,
    ImagePart,
    InputFilePart,
    MediaPart,
    RefusalPart,
    ResultPart,
    TextPart,
)
from dragoman.conversation.signature import recover

Part = Annotated[
    TextPart | RefusalPart | ImagePart | FilePart | InputFilePart | MediaPart,
    Field(discriminator="type"),
]


class Message(WireModel):
    """A message of any role. The type may be left out. `developer` is the newer name of `system`."""

    role: Literal["user", "assistant", "system", "developer"]
    content: PlainOrList[Part]
    type: Literal["message"] | None = None
    id: Any = None
    status: Any = None
    phase: Any = None

    @property
    def is_system(self) -> bool:
        """Whether it is an instruction of the application."""
        return self.role in ("system", "developer")


class Call(WireModel):
    """A call in an earlier answer."""

    call_id: str
    name: str
    namespace: str | None = None
    id: Any = None
    status: Any = None
    caller: Any = None


class FunctionCall(Call):
    """A call of a function. `arguments` is the model's text, usually JSON."""

    type: Literal["function_call"]
    arguments: Any = None


class CustomToolCall(Call):
    """A call of a custom tool. Its input is plain text."""

    type: Literal["custom_tool_call"]
    input: str


class Output(WireModel):
    """The output of a call."""

    call_id: str
    output: PlainOrList[ResultPart] | None = None
    name: Any = None
    namespace: Any = None
    id: Any = None
    status: Any = None
    caller: Any = None


class FunctionCallOutput(Output):
    """The output of a function call."""

    type: Literal["function_call_output"]


class CustomToolCallOutput(Output):
    """The output of a custom tool call."""

    type: Literal["custom_tool_call_output"]


class ReasoningPart(WireModel):
    """A text of a reasoning item."""

    type: Any = None
    text: str


class ReasoningItem(WireModel):
    """Reasoning of an earlier answer: encrypted by this server, as text, or as a summary."""

    type: Literal["reasoning"]
    summary: list[ReasoningPart] | None = None
    content: list[ReasoningPart] | None = None
    encrypted_content: str | None = None
    id: Any = None
    status: Any = None

    @property
    def text(self) -> str:
        """The reasoning. What another server has encrypted is not readable; then the text or the summary is used."""
        kept = recover(self.encrypted_content) if self.encrypted_content else None
        return (
            kept or "".join(part.text for part in self.content or ()) or "\n\n".join(part.text for part in self.summary or ())
        )


class WebSearchCall(WireModel):
    """A web search in an earlier answer. What it found is in `encrypted_content`, if this server made the item."""

    type: Literal["web_search_call"]
    id: str | None = None
    status: Any = None
    action: dict[str, Any] | None = None
    encrypted_content: str | None = None


class McpCall(WireModel):
    """A call of a tool of an MCP server in an earlier answer, and its result."""

    type: Literal["mcp_call"]
    name: str
    server_label: str
    id: str | None = None
    arguments: Any = None
    output: str | None = None
    error: Any = None
    status: Any = None
    approval_request_id: Any = None


class McpListTools(WireModel):
    """The tools of an MCP server, as an earlier answer listed them: they are listed again for the model in each request."""

    type: Literal["mcp_list_tools"]
    server_label: str
    id: Any = None
    tools: Any = None
    error: Any = None


class Compaction(WireModel):
    """A summary of what was before, if this server made it."""

    type: Literal["compaction"]
    encrypted_content: str
    id: Any = None
    created_by: Any = None


class ItemReference(WireModel):
    """A reference to an item of a stored response."""

    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(WireModel):
    """An item of any other type, which belongs to a tool or a feature that this server does not have."""

    open: ClassVar = True

    type: str


KINDS: Final = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
    | {"reasoning", "web_search_call", "mcp_call", "mcp_list_tools", "compaction", "item_reference"}
)
"""The types of items that are read."""


def _kind(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    kind = value.get("type") or ("message" if "role" in value else "item_reference" if "id" in value else None)
    if not isinstance(kind, str):
        return None
    return f"({kind})" if kind in KINDS else "(other)"


InputItem = Annotated[
    Annotated[Message, Tag("(message)")]
    | Annotated[FunctionCall, Tag("(function_call)")]
    | Annotated[FunctionCallOutput, Tag("(function_call_output)")]
    | Annotated[CustomToolCall, Tag("(custom_tool_call)")]
    | Annotated[CustomToolCallOutput, Tag("(custom_tool_call_output)")]
    | Annotated[ReasoningItem, Tag("(reasoning)")]
    | Annotated[WebSearchCall, Tag("(web_search_call)")]
    | Annotated[McpCall, Tag("(mcp_call)")]
    | Annotated[McpListTools, Tag("(mcp_list_tools)")]
    | Annotated[Compaction, Tag("(compaction)")]
    | Annotated[ItemReference, Tag("(item_reference)")]
    | Annotated[OtherItem, Tag("(other)")],
    Discriminator(_kind, custom_error_type="item", custom_error_message="Input should be an item with a type or a role"),
]


def is_assistant(item: object) -> bool:
    """Whether the model wrote the item."""
    if isinstance(item, Message):
        return item.role == "assistant"
    return isinstance(item, Call | ReasoningItem | WebSearchCall | McpCall | McpListTools)


def parts_of_items(items: Sequence[object]) -> Iterator[tuple[int, str, Any]]:
    """Every part of the content of messages and outputs, with the index of its item and its path in that."""
    for index, item in enumerate(items):
        match item:
            case Message(content=list(parts)):
                yield from ((index, f"content.{place}", part) for place, part in enumerate(parts))
            case Output(output=list(parts)):
                yield from ((index, f"output.{place}", part) for place, part in enumerate(parts))
