"""A finished message and its blocks.

Null fields are sent explicitly: some validators require every optional field. The fields for tokens, which are those of
LMDeploy, are only in answers to requests that ask for them.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

from msgspec import UNSET, Struct, UnsetType, field

from dragoman.api.anthropic.citations import CitationOut
from dragoman.api.anthropic.context_management import AppliedEdits
from dragoman.api.anthropic.diagnostics import Diagnostics
from dragoman.api.anthropic.server_blocks import Caller, ServerCallOut, ServerResultOut
from dragoman.parts import ServerToolUses, TokenCounts


class CacheCreation(Struct, frozen=True):
    """Tokens written to the cache, by time to live. Always 0: our cache has no such classes (USE-3)."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """The number of output tokens that were reasoning (USE-4)."""

    thinking_tokens: int = 0


class ServerToolUsage(Struct, frozen=True):
    """How often the server ran its tools (USE-3)."""

    web_search_requests: int = 0
    web_fetch_requests: int = 0


class Usage(Struct, frozen=True):
    """Token counts. The three input counts add up to the length of the rendered prompt (USE-1)."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)
    output_tokens_details: OutputDetails = field(default_factory=OutputDetails)
    server_tool_use: ServerToolUsage | None = None
    service_tier: str = "standard"
    inference_geo: None = None
    iterations: "Sequence[CompactionUsage | MessageUsage] | UnsetType" = UNSET

    @classmethod
    def of(cls, counts: TokenCounts, uses: ServerToolUses | None = None, iterations: Sequence[TokenCounts] = ()) -> "Usage":
        """The usage of these counts: tokens that the engine reused are `cache_read`, all others `input` (USE-5).

        `iterations` are the counts of a compaction and of the message after it, if there is one.
        """
        return cls(
            input_tokens=counts.prompt - counts.cached,
            output_tokens=counts.output,
            cache_read_input_tokens=counts.cached,
            output_tokens_details=OutputDetails(counts.thinking),
            server_tool_use=ServerToolUsage(uses.searches, uses.fetches) if uses else None,
            iterations=_iterations(iterations) if iterations else UNSET,
        )


class IterationUsage(Struct, frozen=True):
    """The usage of one generation of several."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)

    @classmethod
    def of(cls, counts: TokenCounts) -> Self:
        """The usage of these counts."""
        return cls(counts.prompt - counts.cached, counts.output, counts.cached)


class CompactionUsage(IterationUsage, frozen=True, tag="compaction"):
    """The usage of the summary, which is not part of that of the message."""


class MessageUsage(IterationUsage, frozen=True, tag="message"):
    """The usage of the message after a compaction."""


def _iterations(counts: Sequence[TokenCounts]) -> Sequence[CompactionUsage | MessageUsage]:
    summary, *answer = counts
    return [CompactionUsage.of(summary), *map(MessageUsage.of, answer)]


TokenLogprob = tuple[float | None, int]
"""The log-probability of a token, null where it is not known, and its id."""


class TextOut(Struct, frozen=True, tag="text"):
    """Text."""

    text: str = ""
    citations: Sequence[CitationOut] | None = None
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


class CompactionOut(Struct, frozen=True, tag="compaction"):
    """The summary that takes the place of the conversation, null if there is none.

    One that was asked for is signed, and has the changes of the tools, since clients leave out the messages before it.
    """

    content: str | None = None
    encrypted_content: None = None
    signature: str | UnsetType = UNSET
    tool_changes: Sequence[dict[str, Any]] | UnsetType = UNSET


class ThinkingOut(Struct, frozen=True, tag="thinking"):
    """Reasoning with its signature."""

    thinking: str = ""
    signature: str = ""
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


class ToolUseOut(Struct, frozen=True, tag="tool_use"):
    """A tool call. `input` is always an object (TOOL-17)."""

    id: str
    name: str
    input: dict[str, Any] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


BlockOut = TextOut | CompactionOut | ThinkingOut | ToolUseOut | ServerCallOut | ServerResultOut


class MessageOut(Struct, frozen=True, tag="message"):
    """The message of an answer (RES-1). `context_management` is left out if the request has none.

    `input_ids` are those of the prompt; a stream has them in its first event.
    """

    id: str
    model: str
    content: list[BlockOut]
    usage: Usage
    role: Literal["assistant"] = "assistant"
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
    diagnostics: Diagnostics | None = None
    context_management: AppliedEdits | UnsetType = UNSET
    input_ids: Sequence[int] | UnsetType = UNSET
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET
