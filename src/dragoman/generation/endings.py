"""Endings: from what happened to what is reported. A closed table, without a default."""

from enum import Enum, auto

from dragoman.parts import StopReason


class EndCause(Enum):
    """The ways in which a turn comes to its end. A failure is none of them: it is an exception."""

    MODEL_DONE = auto()  # the model ended its turn
    MODEL_CALLED = auto()  # the model ended its turn and calls tools
    CALL_BROKEN = auto()  # the model ended its turn in the middle of a call, or wrote one that cannot be read to its end
    REPETITION = auto()  # it went round in circles, and was stopped
    STOP_SEQUENCE = auto()  # visible text matched one
    OUTPUT_LIMIT = auto()  # `max_tokens` were generated
    WINDOW_FULL = auto()  # the context window has no more room


ENDINGS: dict[EndCause, StopReason] = {
    EndCause.MODEL_DONE: StopReason.END_TURN,
    EndCause.MODEL_CALLED: StopReason.TOOL_USE,  # STOP-2: a runner goes by this alone
    EndCause.CALL_BROKEN: StopReason.MAX_TOKENS,  # a call cut short, by whatever: the one ending after which nobody runs it
    EndCause.REPETITION: StopReason.END_TURN,  # no client should ask it to go on
    EndCause.STOP_SEQUENCE: StopReason.STOP_SEQUENCE,
    EndCause.OUTPUT_LIMIT: StopReason.MAX_TOKENS,  # also inside a call (STOP-3)
    EndCause.WINDOW_FULL: StopReason.CONTEXT_WINDOW,
}
