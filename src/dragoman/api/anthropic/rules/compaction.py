"""Rules for requests that ask for a summary of their conversation, and for nothing else (BETA-5)."""

from dragoman.api.anthropic.compaction import summary_of
from dragoman.api.anthropic.request import AnyToolChoice, MessagesRequest, NamedToolChoice
from dragoman.errors import InvalidRequest


def check_compaction(request: MessagesRequest) -> None:
    """Check that there is a conversation to summarize, and nothing that shapes an answer."""
    shaping = {
        "context_management": request.context_management is not None,
        "stop_sequences": bool(request.stop_sequences),
        "an output format": request.format is not None,
        "a `tool_choice` that forces a call": isinstance(request.tool_choice, AnyToolChoice | NamedToolChoice),
        "input_ids": request.input_ids is not None,
    }
    for name, given in shaping.items():
        if given:
            raise InvalidRequest.at("compaction", f"cannot be combined with {name}")
    summary = summary_of(request)
    last = request.messages[-1]
    if summary is not None and (summary.message, summary.block) == (len(request.messages) - 1, len(last.blocks) - 1):
        raise _refused("nothing_to_summarize", "the conversation consists of its summary")
    if request.pauses:
        raise _refused("incomplete_turn", "the last answer is not finished")


def _refused(code: str, reason: str) -> InvalidRequest:
    return InvalidRequest.at("compaction", reason, details={"error_code": f"compaction_{code}"})
