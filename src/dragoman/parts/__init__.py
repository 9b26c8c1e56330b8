"""Parts: the units of an answer while it is generated.

The dialect's parser makes them from the model's text, the output policies pass, hold or drop them, the tool loop adds those of
server tools, and an encoder turns them into the events of one API. The union is closed, and the package imports no other.

They are `msgspec` structs because about one is made per token: they cost a tenth of a frozen dataclass.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from dragoman.parts.citations import Citation, Cited
from dragoman.parts.server_tools import ServerCallStart, ServerResult
from dragoman.parts.tokens import LikelyToken, LogProb, PromptTokens, Tokens


class StopReason(StrEnum):
    """Why an answer ended (STOP-1). Every answer ends with one of these or with an exception."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    PAUSE_TURN = "pause_turn"
    COMPACTION = "compaction"
    CONTEXT_WINDOW = "model_context_window_exceeded"


class TokenCounts(Struct, frozen=True):
    """Token counts of an answer so far. `cached` is the engine's own count of prompt tokens that it reused.

    `drafted` tokens were checked by speculative decoding, and `accepted` of them are among the output; known at the end only.
    """

    prompt: int
    cached: int = 0
    output: int = 0
    thinking: int = 0
    drafted: int = 0
    accepted: int = 0


def summed(counts: Sequence[TokenCounts], answers: int = 1) -> TokenCounts:
    """The sum of the counts of several answers. Of each group of `answers`, which have one prompt, it counts once."""
    prompts = counts[::answers]
    return TokenCounts(
        sum(each.prompt for each in prompts),
        sum(each.cached for each in prompts),
        sum(each.output for each in counts),
        sum(each.thinking for each in counts),
        sum(each.drafted for each in counts),
        sum(each.accepted for each in counts),
    )


class Prefill(Struct, frozen=True, gc=False):
    """Progress of the prefill: `done` of `total` tokens, of which `cached` were in the engine's cache."""

    total: int
    cached: int
    done: int


class Thinking(Struct, frozen=True, gc=False):
    """A chunk of reasoning text."""

    text: str


class ThinkingEnd(Struct, frozen=True):
    """The end of a span of reasoning. The parser leaves `signature` empty; the output policies set it."""

    signature: str = ""


class Text(Struct, frozen=True, gc=False):
    """A chunk of visible text."""

    text: str


class CallStart(Struct, frozen=True):
    """The start of a tool call, once its name is known. `id` is the model's, or empty; the output policies set their own."""

    name: str
    id: str = ""


class CallDelta(Struct, frozen=True, gc=False):
    """The next characters of the call's arguments; concatenated, they are one JSON object."""

    json: str


class CallEnd(Struct, frozen=True):
    """The end of a call. `complete` is false if the output was cut inside it (STOP-3), or the model broke it off.

    The parser added the last `added` characters of the arguments of a broken-off call, to complete the JSON.
    """

    complete: bool = True
    added: int = 0


class ServerToolUses(Struct, frozen=True):
    """How often the server ran its tools for an answer, without failed runs (USE-3)."""

    searches: int = 0
    fetches: int = 0


class Ending(Struct, frozen=True):
    """The end of the answer: exactly one, always the last part. `uses` is None if the request has no server tools.

    `compaction` is what the summary of the conversation took, which is not part of `counts`; None if there is none.
    """

    reason: StopReason
    counts: TokenCounts
    stop_sequence: str | None = None
    uses: ServerToolUses | None = None
    compaction: TokenCounts | None = None


class Compacted(Struct, frozen=True):
    """The summary that takes the place of the conversation, whole; None if the model wrote none."""

    content: str | None


__all__ = [
    "CallDelta",
    "CallEnd",
    "CallStart",
    "Citation",
    "Cited",
    "Compacted",
    "Ending",
    "LikelyToken",
    "LogProb",
    "Part",
    "Prefill",
    "PromptTokens",
    "ServerCallStart",
    "ServerResult",
    "ServerToolUses",
    "StopReason",
    "Text",
    "Thinking",
    "ThinkingEnd",
    "TokenCounts",
    "Tokens",
    "summed",
]

Part = (
    Prefill
    | Tokens
    | Thinking
    | ThinkingEnd
    | Text
    | Cited
    | CallStart
    | ServerCallStart
    | CallDelta
    | CallEnd
    | ServerResult
    | Compacted
    | Ending
)
