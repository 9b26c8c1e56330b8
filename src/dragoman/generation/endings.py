"""The causes that end an answer, and the stop reason that is reported for each."""

from enum import Enum, auto

from dragoman.parts import StopReason


class EndCause(Enum):
    """Why an answer ended. A failure is not a cause: it is an exception."""

    MODEL_DONE = auto()  # the model ended its turn
    MODEL_CALLED = auto()  # the model ended its turn and calls tools
    CALL_BROKEN = auto()  # the model ended its turn inside a call, or wrote one that cannot be parsed to its end
    REPETITION = auto()  # the model repeated itself, and was stopped
    STOP_SEQUENCE = auto()  # visible text matched one
    OUTPUT_LIMIT = auto()  # `max_tokens` were generated
    WINDOW_FULL = auto()  # the context window is full


ENDINGS: dict[EndCause, StopReason] = {
    EndCause.MODEL_DONE: StopReason.END_TURN,
    EndCause.MODEL_CALLED: StopReason.TOOL_USE,  # STOP-2: a tool runner relies on this alone
    EndCause.CALL_BROKEN: StopReason.MAX_TOKENS,  # the one stop reason after which clients do not run a cut call
    EndCause.REPETITION: StopReason.END_TURN,  # no client should ask the model to continue
    EndCause.STOP_SEQUENCE: StopReason.STOP_SEQUENCE,
    EndCause.OUTPUT_LIMIT: StopReason.MAX_TOKENS,  # also inside a call (STOP-3)
    EndCause.WINDOW_FULL: StopReason.CONTEXT_WINDOW,
}
