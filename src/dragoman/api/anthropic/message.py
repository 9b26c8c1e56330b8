"""A finished message, and the blocks in it.

What can be null is said out loud: some validators demand every companion field.
"""

from typing import Any, Literal

from msgspec import Struct, field

from dragoman.parts import TokenCounts


class CacheCreation(Struct, frozen=True):
    """Tokens written to the cache, by time to live. Ours knows no such classes (USE-3)."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """The part of the output that was reasoning (USE-4)."""

    thinking_tokens: int = 0


class Usage(Struct, frozen=True):
    """Token counts. The three input counts add up to the rendered prompt (USE-1)."""

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
        """What the engine reused is `cache_read`; all the rest is `input` (USE-5)."""
        return cls(
            input_tokens=counts.prompt - counts.cached,
            output_tokens=counts.output,
            cache_read_input_tokens=counts.cached,
            output_tokens_details=OutputDetails(counts.thinking),
        )


class TextOut(Struct, frozen=True, tag="text"):
    """Words."""

    text: str = ""
    citations: None = None


class ThinkingOut(Struct, frozen=True, tag="thinking"):
    """Reasoning, signed."""

    thinking: str = ""
    signature: str = ""


class Caller(Struct, frozen=True, tag="direct"):
    """Who called the tool: the model itself."""


class ToolUseOut(Struct, frozen=True, tag="tool_use"):
    """A call. `input` is always an object (TOOL-17)."""

    id: str
    name: str
    input: dict[str, Any] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)


BlockOut = TextOut | ThinkingOut | ToolUseOut


class MessageOut(Struct, frozen=True, tag="message"):
    """The answer (RES-1)."""

    id: str
    model: str
    content: list[BlockOut]
    usage: Usage
    role: Literal["assistant"] = "assistant"
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
