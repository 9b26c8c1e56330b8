"""Content blocks as clients send them.

A block of a type that the API does not know is refused while parsing (IN-13).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.anthropic.tools import AnyTool, Citations
from dragoman.api.base import PlainOrList, WireModel


class Block(WireModel):
    """The base of content blocks."""

    cache_control: CacheControl | None = None


class TextBlock(Block):
    """Text (IN-1)."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = None


class ThinkingBlock(WireModel):
    """Reasoning of an earlier answer, sent back (IN-11). It cannot have a cache breakpoint (CACHE-3)."""

    type: Literal["thinking"]
    thinking: str
    signature: str
    cache_control: None = None


class RedactedThinkingBlock(WireModel):
    """Encrypted reasoning of another server: accepted, but not readable for a model (IN-11)."""

    type: Literal["redacted_thinking"]
    data: str
    cache_control: None = None


class ToolUseBlock(Block):
    """A tool call of the assistant (IN-7)."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1)]
    input: dict[str, Any]
    caller: Any = None
    toolset_name: str | None = None


class UrlSource(WireModel):
    """A URL. The server never fetches it."""

    type: Literal["url"]
    url: str


class FileSource(WireModel):
    """An uploaded file (FIL-4)."""

    type: Literal["file"]
    file_id: str


class ImageData(WireModel):
    """An image as base64. Its media type is not checked: an image in the history must not block the conversation (CC-8)."""

    type: Literal["base64"]
    media_type: str
    data: str


class Transformations(WireModel):
    """Transformations that the client allows for an image that is too large."""

    oversized_image: str | None = None


class ImageBlock(Block):
    """An image (IN-2)."""

    type: Literal["image"]
    source: Annotated[ImageData | UrlSource | FileSource, Field(discriminator="type")]
    transformations: Transformations | None = None


class PdfData(WireModel):
    """A PDF as base64, or a file of another type, which is replaced by a note."""

    type: Literal["base64"]
    media_type: str
    data: str


class PlainText(WireModel):
    """A document of plain text."""

    type: Literal["text"]
    media_type: str
    data: str


class ContentSource(WireModel):
    """A document that the client split into blocks."""

    type: Literal["content"]
    content: PlainOrList[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class CitableBlock(Block):
    """The base of blocks that an answer may cite."""

    citations: Citations | None = None

    @property
    def wants_citations(self) -> bool:
        """Whether citations are enabled."""
        return bool(self.citations and self.citations.enabled)


class DocumentBlock(CitableBlock):
    """A document with an optional title and context (IN-5)."""

    type: Literal["document"]
    source: Annotated[PdfData | PlainText | ContentSource | UrlSource | FileSource, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None


class SearchResultBlock(CitableBlock):
    """A result of a search that the client made (IN-6)."""

    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


AttachedBlock = ImageBlock | DocumentBlock | SearchResultBlock
"""A block that is not text, reasoning or a tool call."""

ATTACHMENTS = frozenset({ImageBlock, DocumentBlock, SearchResultBlock})
"""The same as a set of types: pydantic's `isinstance` is slow for a negative result, and requests hold thousands of blocks."""


class ServerToolBlock(Block):
    """A block of another server's own tools in an earlier answer: calls, results, or notes of that server (IN-12).

    Each type has its own fields; none counts as unknown.
    """

    open: ClassVar = True

    type: Literal[
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
        "fallback",
    ]

    @property
    def found_tools(self) -> Sequence[str]:
        """The names of the tools that a search of the server found, if it is the result of one (TOOL-12)."""
        match self.type, self.model_extra:
            case "tool_search_tool_result", {"content": {"tool_references": list(references)}}:
                return [reference["tool_name"] for reference in references if _is_reference(reference)]
            case _:
                return ()


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("tool_name"), str)


class BrowserStateBlock(Block):
    """The open tabs of a browser after a call, as JSON with any fields."""

    open: ClassVar = True

    type: Literal["browser_state"]


class ToolReference(WireModel):
    """A reference to a tool by its name."""

    type: Literal["tool_reference"]
    name: str


class McpToolReference(WireModel):
    """A reference to a tool of an MCP server that the API itself would call, or to all of its tools."""

    type: Literal["mcp_tool_reference", "mcp_toolset_reference"]
    server_name: str
    name: str | None = None


class ToolDefinition(WireModel):
    """A tool declared in a message, in the form of an entry of `tools`."""

    type: Literal["tool_definition"]
    definition: AnyTool


class ToolAdditionBlock(Block):
    """A tool that can be called from this message on; in system messages only (IN-14)."""

    type: Literal["tool_addition"]
    tool: Annotated[ToolReference | McpToolReference | ToolDefinition, Field(discriminator="type")]


class ToolRemovalBlock(Block):
    """A tool that cannot be called from this message on; in system messages only (IN-14)."""

    type: Literal["tool_removal"]
    tool: Annotated[ToolReference | McpToolReference, Field(discriminator="type")]


class CompactionBlock(Block):
    """A summary that takes the place of everything before it; without content it changes nothing.

    `tool_changes` lead from the declared tools to those at its end (IN-14).
    """

    open: ClassVar = True

    type: Literal["compaction"]
    content: str | None = None
    tool_changes: list[Annotated[ToolAdditionBlock | ToolRemovalBlock, Field(discriminator="type")]] | None = None


class ToolReferenceBlock(Block):
    """A tool that a search found (TOOL-12)."""

    type: Literal["tool_reference"]
    tool_name: str


ResultContent = Annotated[
    TextBlock | ToolReferenceBlock | ImageBlock | DocumentBlock | SearchResultBlock | BrowserStateBlock,
    Field(discriminator="type"),
]


class ToolResultBlock(Block):
    """The result of a tool call. Missing, null or empty content is a valid result (IN-8)."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: PlainOrList[ResultContent] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


ContentBlock = Annotated[
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ServerToolBlock
    | CompactionBlock
    | BrowserStateBlock
    | ToolAdditionBlock
    | ToolRemovalBlock,
    Field(discriminator="type"),
]

TOOL_CHANGES = frozenset({ToolAdditionBlock, ToolRemovalBlock, CompactionBlock})
"""Blocks that change which tools can be called."""

_HOLDERS = frozenset({ToolResultBlock, SearchResultBlock, DocumentBlock})
"""Blocks that contain other blocks."""

Placed = tuple[str, WireModel]
"""A block and its path."""


def walk(blocks: Sequence[WireModel], path: str) -> Iterator[Placed]:
    """Each block of the list at `path`, followed by the blocks inside it."""
    for index, block in enumerate(blocks):
        here = f"{path}.{index}"
        yield here, block
        if type(block) in _HOLDERS:
            match block:
                case ToolResultBlock(content=list(inner)) | SearchResultBlock(content=inner):
                    yield from walk(inner, f"{here}.content")
                case DocumentBlock(source=ContentSource(content=list(inner))):
                    yield from walk(inner, f"{here}.source.content")
