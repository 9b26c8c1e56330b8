"""The request bodies of `POST /v1/messages` and `/v1/messages/count_tokens`."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from dragoman.api.anthropic.blocks import ATTACHMENTS, AttachedBlock, ContentBlock, Placed, TextBlock, walk
from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.anthropic.tools import AnyTool
from dragoman.api.base import PlainOrList, WireModel


class Message(WireModel):
    """One entry of `messages` (REQ-6, REQ-7)."""

    role: Literal["user", "assistant", "system"]
    content: PlainOrList[ContentBlock]

    @property
    def blocks(self) -> Sequence[ContentBlock]:
        """The blocks; none if the content is a plain string."""
        return () if isinstance(self.content, str) else self.content


class AutoToolChoice(WireModel):
    """The model decides whether to call tools (TOOL-4)."""

    type: Literal["auto"]
    disable_parallel_tool_use: bool | None = None


class AnyToolChoice(WireModel):
    """The model must call a tool (TOOL-5)."""

    type: Literal["any"]
    disable_parallel_tool_use: bool | None = None


class NamedToolChoice(WireModel):
    """The model must call this tool (TOOL-5)."""

    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class NoToolChoice(WireModel):
    """The model may not call tools (TOOL-9)."""

    type: Literal["none"]


AnyChoice = Annotated[AutoToolChoice | AnyToolChoice | NamedToolChoice | NoToolChoice, Field(discriminator="type")]

Display = Literal["summarized", "omitted", "updates"]


class ThinkingEnabled(WireModel):
    """Thinking with a token budget (THK-2)."""

    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: Display | None = None


class ThinkingAdaptive(WireModel):
    """Thinking whose length the model decides (THK-3)."""

    type: Literal["adaptive"]
    display: Display | None = None


class ThinkingDisabled(WireModel):
    """No thinking. It cannot have a display (THK-8)."""

    type: Literal["disabled"]
    display: None = None


class ThinkingBetweenTools(WireModel):
    """Progress notes between calls: not supported, refused by name (THK-5)."""

    type: Literal["between_tools"]


ThinkingConfig = Annotated[
    ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | ThinkingBetweenTools, Field(discriminator="type")
]


class Metadata(WireModel):
    """The user of the request (REQ-14)."""

    user_id: Annotated[str, Field(max_length=256)] | None = None


class OutputFormat(WireModel):
    """A JSON answer of this schema (STR-1)."""

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(WireModel):
    """The effort and the format of the answer (THK-14, STR-1)."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None
    task_budget: Any = None


class ContextEdit(WireModel):
    """One entry of `context_management.edits`."""

    type: str


class ContextManagement(WireModel):
    """Context edits that a client requests; edits that only shrink the prompt may be ignored (BETA-4)."""

    edits: list[ContextEdit] | None = None


class PromptRequest(WireModel):
    """All fields that determine the prompt: the whole body except `max_tokens` (CNT-1).

    An explicit null counts as an absent field (REQ-19). Fields of type `Any` are accepted and have no effect (BETA-4).
    """

    model: str
    messages: Annotated[list[Message], Field(max_length=100_000)]
    system: PlainOrList[TextBlock] | None = None
    tools: list[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    cache_control: CacheControl | None = None
    context_management: ContextManagement | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    # Must be honoured or refused (BETA-4): `rules` refuses them.
    thread: Any = None
    container: Any = None
    mcp_servers: Any = None
    compaction: Any = None
    fallbacks: Any = None
    # May be ignored (BETA-4, REQ-15, REQ-17, AUTH-5).
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None
    diagnostics: Any = None
    betas: Any = None
    billing_policy: Any = None
    fallback_credit_token: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None

    @property
    def format(self) -> OutputFormat | None:
        """The output format, from its current field or from the older one (STR-2)."""
        return (self.output_config and self.output_config.format) or self.output_format

    def walk(self) -> Iterator[Placed]:
        """Every block of every message with its path, including blocks inside others."""
        for index, message in enumerate(self.messages):
            yield from walk(message.blocks, f"messages.{index}.content")

    def attachments(self) -> Iterator[tuple[str, AttachedBlock]]:
        """The attachments with their paths."""
        return ((path, cast("AttachedBlock", block)) for path, block in self.walk() if type(block) in ATTACHMENTS)


class CountTokensRequest(PromptRequest):
    """The body of `count_tokens`. Whole message bodies are accepted, because gateways forward them (CNT-4)."""

    max_tokens: int | None = None


class MessagesRequest(PromptRequest):
    """The body of `POST /v1/messages` (REQ-1, REQ-2)."""

    max_tokens: Annotated[int, Field(ge=0)]
