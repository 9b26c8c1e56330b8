"""Tests that in a session of Claude Code each prompt begins with the previous one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate, PromptBuilder
from prompt import templates

from .session import MIN_REUSE, RecordingEngine, StartSession, call

QWEN = dialects.get("qwen3")
KINDS = {
    "everything": templates.FULL,
    "arguments as a string": templates.STRING_ARGUMENTS,
    "no tools": templates.CHATML,
    "users and assistants alternate": templates.ALTERNATING,
    "a system turn at the top only": templates.SYSTEM_FIRST,
}


def bash(command: str) -> tuple[str, Mapping[str, Any]]:
    return "Bash", {"command": command, "description": "Look"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.clause("CACHE-4", "CC-4", "REQ-11", "REQ-12")
async def test_each_prompt_of_a_long_session_begins_with_the_previous_one_for_every_template(
    start_session: StartSession,
) -> None:
    turns = [
        call(bash("ls -a"), dialect=QWEN),
        "<think>\nTwo at once.\n</think>\n\n" + call(bash("pwd"), bash("seq 20"), dialect=QWEN),
        call(("ToolSearch", {"query": "select:CronList"}), dialect=QWEN),
        "I look again.\n" + call(bash("ls"), dialect=QWEN),
    ]
    session = start_session(*turns, "Half done.", *turns, "All done.", dialect=QWEN)
    assert session.claude.run("Look and count.").answer == "Half done."
    assert session.claude.run("And again.", "--continue").answer == "All done."
    assert session.recorder.refused == []
    broke = [exchange.diverged.partition(": ")[2] for exchange in session.recorder.messages if exchange.diverged]
    assert broke == ['rendered differently after turn 4 (user), tool result 1, "<tool_call>"'], (
        "Qwen3 drops reasoning when the user speaks"
    )
    assert min(session.engine.reused()) > MIN_REUSE
    bodies = [exchange.body for exchange in session.recorder.messages]
    assert len(bodies) == 2 * (len(turns) + 1)
    reused = {kind: await least_reused(bodies, template, QWEN) for kind, template in KINDS.items()}
    assert {kind: share for kind, share in reused.items() if share <= MIN_REUSE} == {}


async def least_reused(bodies: Sequence[Mapping[str, Any]], template: str, dialect: Dialect) -> float:
    """The smallest share of a prompt that the next one begins with, if these requests are rendered with that template."""
    engine = RecordingEngine([], window=200_000)
    builder = await PromptBuilder.load(inspect(ChatTemplate(template), dialect), engine.tokenize, 200_000)
    requests = [MessagesRequest.model_validate(body) for body in bodies]
    engine.prompts = [(await builder.build(lower(request))).tokens for request in requests]
    return min(engine.reused())
