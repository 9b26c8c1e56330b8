"""The checks of both formats, in the order in which they run."""

from dragoman.doctor.check import Check
from dragoman.doctor.openai.checks import (
    answers,
    cache,
    chat_answers,
    chat_streams,
    completions,
    errors,
    inputs,
    models,
    response_answers,
    response_streams,
    stored_responses,
    streams,
    tools,
    transport,
)

_COMMON = (transport, models, errors, answers)
_LAST = (tools, inputs, cache)

CHAT_CHECKS: tuple[Check, ...] = tuple(
    check for module in (*_COMMON, chat_answers, streams, chat_streams, *_LAST, completions) for check in module.SUBJECT
)
RESPONSES_CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (*_COMMON, response_answers, streams, response_streams, *_LAST, stored_responses)
    for check in module.SUBJECT
)

__all__ = ["CHAT_CHECKS", "RESPONSES_CHECKS"]
