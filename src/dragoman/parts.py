"""Parts: what a turn consists of while it is being generated.

The dialect's parser makes them out of the model's text, the turn's policies pass, hold or end them, an encoder turns
them into the events of one API. A closed union, and a leaf: everything between the engine and the wire speaks it.

They are `msgspec` structs because one of them is made per token: they cost a tenth of a frozen dataclass.
"""

from enum import StrEnum

from msgspec import Struct


class StopReason(StrEnum):
    """How a turn ends (STOP-1). There is no other way for a turn to end than one of these or an exception."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    CONTEXT_WINDOW = "model_context_window_exceeded"


class TokenCounts(Struct, frozen=True):
    """Token counts of a turn so far. `cached` is the engine's own number of prompt tokens that it did not compute again."""

    prompt: int
    cached: int = 0
    output: int = 0
    thinking: int = 0


class Prefill(Struct, frozen=True):
    """The engine reads the prompt: `done` of `total` tokens, of which `cached` were there already."""

    total: int
    cached: int
    done: int


class Thinking(Struct, frozen=True):
    """A piece of reasoning."""

    text: str


class ThinkingEnd(Struct, frozen=True):
    """The reasoning span is over. The parser leaves `signature` empty; the turn signs."""

    signature: str = ""


class Text(Struct, frozen=True):
    """A piece of visible text."""

    text: str


class CallStart(Struct, frozen=True):
    """A tool call whose name is known. `id` is the one on the dialect's wire, or empty; the turn gives each call its own."""

    name: str
    id: str = ""


class CallDelta(Struct, frozen=True):
    """The next bytes of the call's arguments: all of them, concatenated, are one JSON object."""

    json: str


class CallEnd(Struct, frozen=True):
    """The call is over. `complete` is false where the output was cut inside it (STOP-3), or the model broke it off.

    Of a call that was broken off, the last `added` characters of the arguments are the parser's: they make JSON of them.
    """

    complete: bool = True
    added: int = 0


class Ending(Struct, frozen=True):
    """The turn is over. Always the last part, always exactly one."""

    reason: StopReason
    counts: TokenCounts
    stop_sequence: str | None = None


Part = Prefill | Thinking | ThinkingEnd | Text | CallStart | CallDelta | CallEnd | Ending
