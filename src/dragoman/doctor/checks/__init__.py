"""All checks, in the order in which they run: basic ones first, slow ones last."""

from dragoman.doctor.check import Check
from dragoman.doctor.checks import (
    agent,
    context,
    counts,
    endings,
    errors,
    inputs,
    latency,
    models,
    server_tools,
    streams,
    thinking,
    tools,
    transport,
)

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (
        transport,
        models,
        errors,
        endings,
        streams,
        counts,
        tools,
        server_tools,
        thinking,
        inputs,
        context,
        agent,
        latency,
    )
    for check in module.SUBJECT
)

__all__ = ["CHECKS"]
