"""Runs the calls of server tools of one round, side by side: each has a time limit, and each failure is a result."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from dragoman.conversation import Dialogue
from dragoman.generation.round import ServerCall
from dragoman.parts.server_tools import ServerToolOutput

_LOG = logging.getLogger(__name__)

MOST_CHARACTERS: Final = 400_000
"""The longest text that a result may have for the model. Tools cut what they find far below it."""


async def run_calls(calls: Sequence[ServerCall], dialogue: Dialogue) -> Sequence[ServerToolOutput]:
    """Run all calls at the same time, and return their results in the same order. Cancelling cancels the runs."""
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(_run(call, dialogue)) for call in calls]
    return [run.result() for run in runs]


async def _run(call: ServerCall, dialogue: Dialogue) -> ServerToolOutput:
    tool = call.tool
    if not call.whole or not tool.accepts(call.call.input):
        return tool.failure("invalid_tool_input")
    try:
        async with asyncio.timeout(tool.seconds):
            output = await tool.run(call.call.input, dialogue)
    except TimeoutError:
        _LOG.warning("the server tool %s did not answer within %g seconds", tool.name, tool.seconds)
        return tool.failure("unavailable")
    except Exception as error:
        _LOG.exception("the server tool %s failed", tool.name, exc_info=error)
        return tool.failure("unavailable")
    if len(output.text) > MOST_CHARACTERS:
        _LOG.warning("the server tool %s returned more than %d characters", tool.name, MOST_CHARACTERS)
        return tool.failure("unavailable")
    return output
