"""A finished message and its blocks.

Null fields are sent explicitly: some validators require every optional field.
"""

from typing import Any, Literal

from msgspec import Struct, field

from dragoman.parts import TokenCounts


class CacheCreation(Struct, frozen=True):
    """Tokens written to the cache, by time to live. Always 0: our cache has no such classes (USE-3)."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """The number of output tokens that were reasoning (USE-4)."""

    thinking_tokens: int = 0


class Usage(Struct, frozen=True):
    """Token counts. The three input counts add up to the length of the rendered prompt (USE-1)."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)
    output_tokens_details: OutputDetails = field(default_factory=OutputDetails)
    server_tool_use: None = None
    service_tier: str = "standard"
    inference_geo: None = None

    @classmethod
    def of(cls, counts: TokenCounts) -> "Usage":
        """The usage of these counts: tokens that the engine reused are `cache_read`, all others `input` (USE-5)."""
        return cls(
            input_tokens=counts.prompt - counts.cached,
            output_tokens=counts.output,
            cache_read_input_tokens=counts.cached,
            output_tokens_details=OutputDetails(counts.thinking),
        )


class TextOut(Struct, frozen=True, tag="text"):
    """Text."""

    text: str = ""
    citations: None = None


class ThinkingOut(Struct, frozen=True, tag="thinking"):
    """Reasoning with its signature."""

    thinking: str = ""
    signature: str = ""


class Caller(Struct, frozen=True, tag="direct"):
    """The caller of a tool: always the model itself."""


class ToolUseOut(Struct, frozen=True, tag="tool_use"):
    """A tool call. `input` is always an object (TOOL-17)."""

    id: str
    name: str
    input: dict[str, Any] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)


BlockOut = TextOut | ThinkingOut | ToolUseOut


class MessageOut(Struct, frozen=True, tag="message"):
    """The message of an answer (RES-1)."""

    id: str
    model: str
    content: list[BlockOut]
    usage: Usage
    role: Literal["assistant"] = "assistant"
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
