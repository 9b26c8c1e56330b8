"""Answers of the second door: whole, and as chunks."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType, field

from dragoman.parts import StopReason, TokenCounts

FINISHES: dict[StopReason, str] = {
    StopReason.END_TURN: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_WINDOW: "length",
}
"""Closed, as the table of endings is."""


class PromptDetails(Struct, frozen=True):
    """The part of the prompt that was not computed again."""

    cached_tokens: int = 0


class CompletionDetails(Struct, frozen=True):
    """The part of the output that was reasoning."""

    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails

    @classmethod
    def of(cls, counts: TokenCounts) -> "Usage":
        """Cached tokens are part of the prompt here, reasoning is part of the completion."""
        return cls(
            counts.prompt,
            counts.output,
            counts.prompt + counts.output,
            PromptDetails(counts.cached),
            CompletionDetails(counts.thinking),
        )


class FunctionOut(Struct, frozen=True):
    """`name` comes with the first chunk of a call, `arguments` bit by bit."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class CallOut(Struct, frozen=True):
    """A call, or the next bit of it. `index` is its place in the message, and left out of a whole message."""

    function: FunctionOut
    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET


class Delta(Struct, frozen=True):
    """What a chunk adds."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: Sequence[CallOut] | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """The one choice of a chunk."""

    delta: Delta
    index: int = 0
    logprobs: None = None
    finish_reason: str | None = None


class ChatChunk(Struct, frozen=True):
    """A piece of a streamed answer. `usage` is null on every chunk but the last where it was asked for, and else left out."""

    id: str
    created: int
    model: str
    choices: Sequence[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    object: str = "chat.completion.chunk"
    system_fingerprint: None = None


class ChatMessageOut(Struct, frozen=True):
    """The answer's message. `content` is null where there is none."""

    content: str | None
    role: str = "assistant"
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: Sequence[CallOut] | UnsetType = UNSET


class ChatChoice(Struct, frozen=True):
    """The one choice of an answer."""

    message: ChatMessageOut
    finish_reason: str
    index: int = 0
    logprobs: None = None


class ChatCompletion(Struct, frozen=True):
    """The answer. `created` is in seconds since the epoch."""

    id: str
    created: int
    model: str
    choices: Sequence[ChatChoice]
    usage: Usage
    object: str = "chat.completion"
    system_fingerprint: None = None


class TextChoice(Struct, frozen=True):
    """The one choice of a completion, or what a chunk adds to it."""

    text: str = ""
    finish_reason: str | None = None
    index: int = 0
    logprobs: None = None


class Completion(Struct, frozen=True):
    """A completion, whole or a chunk of it."""

    id: str
    created: int
    model: str
    choices: Sequence[TextChoice]
    usage: Usage | UnsetType | None = UNSET
    object: str = "text_completion"
    system_fingerprint: None = field(default=None)
