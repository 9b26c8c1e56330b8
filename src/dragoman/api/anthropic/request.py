"""The request bodies of `POST /v1/messages` and `/v1/messages/count_tokens`."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dragoman.api.anthropic.blocks import (
    ATTACHMENTS,
    AttachedBlock,
    Block,
    CompactionBlock,
    ContentBlock,
    Placed,
    ServerToolBlock,
    TextBlock,
    walk,
)
from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.anthropic.context_management import ContextManagement
from dragoman.api.anthropic.diagnostics import DiagnosticsRequest
from dragoman.api.anthropic.tools import AnyTool, McpServer
from dragoman.api.base import PlainOrList, WireModel
from dragoman.api.remembered import Items
from dragoman.conversation import TokenReport


class Message(WireModel):
    """One entry of `messages` (REQ-6, REQ-7)."""

    role: Literal["user", "assistant", "system"]
    content: PlainOrList[ContentBlock]

    @property
    def blocks(self) -> Sequence[ContentBlock]:
        """The blocks; none if the content is a plain string."""
        return () if isinstance(self.content, str) else self.content

    @cached_property
    def types(self) -> frozenset[type]:
        """The types of its blocks, including blocks inside others."""
        return frozenset(type(block) for _, block in walk(self.blocks, ""))

    @cached_property
    def breakpoints(self) -> Sequence[tuple[str, CacheControl]]:
        """Its cache breakpoints with their paths in `content`."""
        return tuple(
            (f"{path}.cache_control", block.cache_control)
            for path, block in walk(self.blocks, "")
            if isinstance(block, Block) and block.cache_control
        )


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


class CompactionConfig(WireModel):
    """The conversation is summarized, and the answer is the summary (BETA-5)."""

    type: Literal["summarize"]
    instructions: str | None = None


TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]


def _absent(value: object) -> object:
    return [] if value is None else value


_PAUSED = (ServerToolBlock, CompactionBlock)
"""Blocks after which an answer can pause."""


class PromptRequest(WireModel):
    """All fields that determine the prompt: the whole body except `max_tokens` (CNT-1).

    An explicit null counts as an absent field (REQ-19). Fields of type `Any` are accepted and have no effect (BETA-4).
    `input_ids` are token ids that take the place of the messages, for clients that render the prompt themselves; tools are
    not rendered then, but say which calls are read in the answer.
    """

    lists: ClassVar = {"messages": Items(Message), "tools": Items(AnyTool)}

    model: str
    messages: Annotated[list[Message], Field(max_length=100_000), BeforeValidator(_absent)] = Field(default_factory=list)
    input_ids: list[TokenId] | None = None
    system: PlainOrList[TextBlock] | None = None
    tools: list[AnyTool] | None = None
    mcp_servers: list[McpServer] | None = None
    tool_choice: AnyChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    cache_control: CacheControl | None = None
    context_management: ContextManagement | None = None
    compaction: CompactionConfig | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    # Must be honoured or refused (BETA-4): `rules` refuses them.
    thread: Any = None
    container: Any = None
    fallbacks: Any = None
    diagnostics: DiagnosticsRequest | None = None
    image_data: Any = None
    return_routed_experts: Any = None
    include_stop_str_in_output: Any = None
    # May be ignored (BETA-4, REQ-15, REQ-17, AUTH-5).
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None
    betas: Any = None
    billing_policy: Any = None
    fallback_credit_token: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None

    @model_validator(mode="after")
    def _has_a_prompt(self) -> Self:
        if "messages" not in self.model_fields_set and self.input_ids is None:
            raise PydanticCustomError("missing", "messages: Field required")
        return self

    @property
    def format(self) -> OutputFormat | None:
        """The output format, from its current field or from the older one (STR-2)."""
        return (self.output_config and self.output_config.format) or self.output_format

    @property
    def ends_in_prefill(self) -> bool:
        """Whether the last message is the beginning of the answer; one that paused is not (STOP-4, BETA-5)."""
        if not self.messages:
            return False
        return self.messages[-1].role == "assistant" and not self.pauses

    @property
    def pauses(self) -> bool:
        """Whether the last message is an answer that paused (STOP-4, BETA-5)."""
        last = self.messages[-1]
        return last.role == "assistant" and bool(last.blocks) and isinstance(last.blocks[-1], _PAUSED)

    def walk(self, types: frozenset[type]) -> Iterator[Placed]:
        """Every block of every message that has blocks of these types, with its path, including blocks inside others."""
        for index, message in enumerate(self.messages):
            if not message.types.isdisjoint(types):
                yield from walk(message.blocks, f"messages.{index}.content")

    def attachments(self) -> Iterator[tuple[str, AttachedBlock]]:
        """The attachments with their paths."""
        return ((path, cast("AttachedBlock", block)) for path, block in self.walk(ATTACHMENTS) if type(block) in ATTACHMENTS)


class CountTokensRequest(PromptRequest):
    """The body of `count_tokens`. Whole message bodies are accepted, because gateways forward them (CNT-4)."""

    max_tokens: int | None = None


class MessagesRequest(PromptRequest):
    """The body of `POST /v1/messages` (REQ-1, REQ-2), with the fields of LMDeploy for tokens."""

    max_tokens: Annotated[int, Field(ge=0)]
    return_token_ids: bool | None = None
    return_logprob: bool | None = None

    @property
    def report(self) -> TokenReport:
        """What the answer reports of its tokens."""
        ids = bool(self.return_token_ids)
        return TokenReport(ids, 0, "return_logprob") if self.return_logprob else TokenReport(ids)
