"""Content blocks as clients send them (contract §5).

Text, tools and thinking are understood. Blocks that the API knows and this server cannot show to a model yet are parsed by
their type alone, so that the refusal can name them; a type that nobody knows is refused while parsing (IN-13).
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from dragoman.wire.base import PlainOrList, WireModel


class CacheControl(WireModel):
    """A cache breakpoint: accepted everywhere the API has it, and never a byte of the prompt (CACHE-1)."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(WireModel):
    """What blocks share."""

    cache_control: CacheControl | None = None


class TextBlock(Block):
    """Words (IN-1)."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = None


class ThinkingBlock(WireModel):
    """Reasoning, sent back (IN-11). It cannot carry a breakpoint (CACHE-3)."""

    type: Literal["thinking"]
    thinking: str
    signature: str
    cache_control: None = None


class RedactedThinkingBlock(WireModel):
    """Reasoning that its maker encrypted: accepted, and nothing a model could read (IN-11)."""

    type: Literal["redacted_thinking"]
    data: str
    cache_control: None = None


class ToolUseBlock(Block):
    """A call the assistant made (IN-7)."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1)]
    input: dict[str, Any]
    caller: Any = None
    toolset_name: str | None = None


class UnsupportedBlock(Block):
    """A block of the API that this server cannot give to a model yet."""

    type: Literal[
        "image",
        "document",
        "search_result",
        "browser_state",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "mcp_tool_use",
        "mcp_tool_result",
        "mcp_tool_listing",
        "advisor_tool_result",
        "compaction",
        "fallback",
        "tool_addition",
        "tool_removal",
    ]


class ToolReferenceBlock(Block):
    """A tool that a search found (TOOL-12)."""

    type: Literal["tool_reference"]
    tool_name: str


ResultContent = Annotated[TextBlock | ToolReferenceBlock | UnsupportedBlock, Field(discriminator="type")]


class ToolResultBlock(Block):
    """The answer to a call. Missing, null or empty content is an answer too (IN-8)."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: PlainOrList[ResultContent] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


ContentBlock = Annotated[
    TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock | UnsupportedBlock,
    Field(discriminator="type"),
]
