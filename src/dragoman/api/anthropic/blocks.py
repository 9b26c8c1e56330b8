"""Content blocks as clients send them.

A block of a type that the API does not know is refused while parsing (IN-13).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dragoman.api.anthropic.base import CacheControl, PlainOrList, WireModel
from dragoman.api.anthropic.tools import AnyTool


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


class UrlSource(WireModel):
    """Something on the web. It is never fetched from here."""

    type: Literal["url"]
    url: str


class FileSource(WireModel):
    """Something that was uploaded before (FIL-4)."""

    type: Literal["file"]
    file_id: str


class ImageData(WireModel):
    """An image, written out. Its kind is not checked: what stays in a conversation's history must not end it (CC-8)."""

    type: Literal["base64"]
    media_type: str
    data: str


class Transformations(WireModel):
    """What a model with eyes may be shown instead of an image that is too large."""

    oversized_image: str | None = None


class ImageBlock(Block):
    """An image (IN-2)."""

    type: Literal["image"]
    source: Annotated[ImageData | UrlSource | FileSource, Field(discriminator="type")]
    transformations: Transformations | None = None


class PdfData(WireModel):
    """A PDF, written out; or a file of another kind, of which the model gets a note."""

    type: Literal["base64"]
    media_type: str
    data: str


class PlainText(WireModel):
    """A document that is text."""

    type: Literal["text"]
    media_type: str
    data: str


class ContentSource(WireModel):
    """A document that the client has cut into blocks."""

    type: Literal["content"]
    content: PlainOrList[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class Citations(WireModel):
    """Should the answer say where it has it from?"""

    enabled: bool | None = None


class CitableBlock(Block):
    """What an answer could cite. No answer here does, and none has to."""

    citations: Citations | None = None

    @property
    def wants_citations(self) -> bool:
        """Are they switched on?"""
        return bool(self.citations and self.citations.enabled)


class DocumentBlock(CitableBlock):
    """A document, and what the client has to say about it (IN-5)."""

    type: Literal["document"]
    source: Annotated[PdfData | PlainText | ContentSource | UrlSource | FileSource, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None


class SearchResultBlock(CitableBlock):
    """Something that a search of the client's found (IN-6)."""

    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


Attachment = ImageBlock | DocumentBlock | SearchResultBlock
"""What comes along with words."""

ATTACHMENTS = frozenset({ImageBlock, DocumentBlock, SearchResultBlock})
"""The same, for the quick question: pydantic's `isinstance` is slow where the answer is no, and blocks come by the thousand."""


class ServerToolBlock(Block):
    """What another server did by itself in an earlier answer: its calls, their results, its own notes (IN-12).

    The fields are as each kind has them, all of them known.
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
        "compaction",
        "fallback",
    ]


class BrowserStateBlock(Block):
    """The tabs of a browser after a call: JSON to read, whatever its fields are."""

    open: ClassVar = True

    type: Literal["browser_state"]


class ToolReference(WireModel):
    """A tool, by the name that the model calls it by."""

    type: Literal["tool_reference"]
    name: str


class McpToolReference(WireModel):
    """A tool of an MCP server that the API itself would ask, or all of its tools."""

    type: Literal["mcp_tool_reference", "mcp_toolset_reference"]
    server_name: str
    name: str | None = None


class ToolDefinition(WireModel):
    """A tool that is declared on the way, as an entry of `tools` would."""

    type: Literal["tool_definition"]
    definition: AnyTool


class ToolAdditionBlock(Block):
    """A tool that can be called from here on; in system messages only (IN-14)."""

    type: Literal["tool_addition"]
    tool: Annotated[ToolReference | McpToolReference | ToolDefinition, Field(discriminator="type")]


class ToolRemovalBlock(Block):
    """A tool that cannot be called from here on; in system messages only (IN-14)."""

    type: Literal["tool_removal"]
    tool: Annotated[ToolReference | McpToolReference, Field(discriminator="type")]


class ToolReferenceBlock(Block):
    """A tool that a search found (TOOL-12)."""

    type: Literal["tool_reference"]
    tool_name: str


ResultContent = Annotated[
    TextBlock | ToolReferenceBlock | ImageBlock | DocumentBlock | SearchResultBlock | BrowserStateBlock,
    Field(discriminator="type"),
]


class ToolResultBlock(Block):
    """The answer to a call. Missing, null or empty content is an answer too (IN-8)."""

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
    | BrowserStateBlock
    | ToolAdditionBlock
    | ToolRemovalBlock,
    Field(discriminator="type"),
]

_HOLDERS = frozenset({ToolResultBlock, SearchResultBlock, DocumentBlock})
"""Blocks with others inside."""

Placed = tuple[str, WireModel]
"""A block and its path."""


def walk(blocks: Sequence[WireModel], path: str) -> Iterator[Placed]:
    """Each block of a list that stands at `path`, followed by those inside it."""
    for index, block in enumerate(blocks):
        here = f"{path}.{index}"
        yield here, block
        if type(block) in _HOLDERS:
            match block:
                case ToolResultBlock(content=list(inner)) | SearchResultBlock(content=inner):
                    yield from walk(inner, f"{here}.content")
                case DocumentBlock(source=ContentSource(content=list(inner))):
                    yield from walk(inner, f"{here}.source.content")


def needs_eyes(block: Attachment) -> bool:
    """Is it something that a model of words alone cannot read? A document behind a URL is a PDF (IN-5)."""
    return isinstance(block, ImageBlock) or (isinstance(block, DocumentBlock) and isinstance(block.source, PdfData | UrlSource))
