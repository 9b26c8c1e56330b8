"""The response bodies and stream chunks of the OpenAI-compatible API.

`token_ids` and `prompt_token_ids` are those of vLLM, and only in answers to requests that ask for them; of a stream, the first
chunk has those of the prompt.
"""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType, field

from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.logprobs import ChatLogprobs, TextLogprobs
from dragoman.parts import StopReason, TokenCounts

FINISHES: dict[StopReason, str] = {
    StopReason.END_TURN: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.PAUSE_TURN: "length",
    StopReason.COMPACTION: "length",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_WINDOW: "length",
}
"""The finish reason for each stop reason."""


class PromptDetails(Struct, frozen=True):
    """The number of prompt tokens that came from the cache."""

    cached_tokens: int = 0


class CompletionDetails(Struct, frozen=True):
    """The number of output tokens that were reasoning."""

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
        """The usage of these counts. Cached tokens are included in the prompt, reasoning tokens in the completion."""
        return cls(
            counts.prompt,
            counts.output,
            counts.prompt + counts.output,
            PromptDetails(counts.cached),
            CompletionDetails(counts.thinking),
        )


class FunctionOut(Struct, frozen=True):
    """The function of a call. `name` is in the first chunk of a call, `arguments` are split over the chunks."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class CustomOut(Struct, frozen=True):
    """The custom tool of a call. `name` is in the first chunk of a call, `input` is split over the chunks."""

    name: str | UnsetType = UNSET
    input: str = ""


class CallOut(Struct, frozen=True):
    """A call of a function or of a custom tool, or a chunk of it.

    `index` is its place in the message; a whole message leaves it out.
    """

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionOut | UnsetType = UNSET
    custom: CustomOut | UnsetType = UNSET


class Delta(Struct, frozen=True):
    """The fields that a chunk adds."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: Sequence[CallOut] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """The choice to which a chunk adds something."""

    delta: Delta
    index: int = 0
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None
    token_ids: Sequence[int] | UnsetType = UNSET


class ChatChunk(Struct, frozen=True):
    """A chunk of a streamed answer. If usage was requested, it is null in all chunks but the last; otherwise it is left out."""

    id: str
    created: int
    model: str
    choices: Sequence[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    object: str = "chat.completion.chunk"
    system_fingerprint: None = None
    prompt_token_ids: Sequence[int] | UnsetType = UNSET


class ChatMessageOut(Struct, frozen=True):
    """The message of an answer. `content` is null if there is none; `function_call` is the older form of a call."""

    content: str | None
    role: str = "assistant"
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: Sequence[CallOut] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET


class ChatChoice(Struct, frozen=True):
    """One of the choices of an answer."""

    message: ChatMessageOut
    finish_reason: str
    index: int = 0
    logprobs: ChatLogprobs | None = None
    token_ids: Sequence[int] | UnsetType = UNSET


class ChatCompletion(Struct, frozen=True):
    """A whole answer. `created` is in seconds since the epoch."""

    id: str
    created: int
    model: str
    choices: Sequence[ChatChoice]
    usage: Usage
    object: str = "chat.completion"
    system_fingerprint: None = None
    prompt_token_ids: Sequence[int] | UnsetType = UNSET


class TextChoice(Struct, frozen=True):
    """One of the choices of a completion, or what a chunk adds to it."""

    text: str = ""
    finish_reason: str | None = None
    index: int = 0
    logprobs: TextLogprobs | None = None
    token_ids: Sequence[int] | UnsetType = UNSET
    prompt_token_ids: Sequence[int] | UnsetType = UNSET


class Completion(Struct, frozen=True):
    """A whole completion or a chunk of it."""

    id: str
    created: int
    model: str
    choices: Sequence[TextChoice]
    usage: Usage | UnsetType | None = UNSET
    object: str = "text_completion"
    system_fingerprint: None = field(default=None)


class Comment(Struct, frozen=True):
    """A comment in a stream, which clients ignore."""

    text: str


ChatEvent = ChatChunk | Comment | ErrorBody
CompletionEvent = Completion | Comment | ErrorBody
