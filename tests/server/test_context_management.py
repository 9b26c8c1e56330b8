"""Context edits and cache diagnostics on a live server, with the SDK's types."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from anthropic.types.beta import BetaMessage, BetaMessageTokensCount
from msgspec.structs import replace

from conftest import MODEL, Serve, body, live_server, user
from controllable_engine import ControllableEngine, until
from dragoman import dialects
from dragoman.engines import Capabilities
from dragoman.engines.scripted import Line, ScriptedEngine
from prompt import templates
from server.http import post
from server.test_log_line import RequestLog, log

__all__ = ["log"]

TOOL = {"name": "read", "input_schema": {"type": "object"}}
BETA = "context-management-2025-06-27"
THINKING = {"type": "enabled", "budget_tokens": 1024}


class KeepsReasoning(ScriptedEngine):
    """An engine whose chat template renders the reasoning of all turns."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), chat_template=templates.FULL)


@pytest.fixture
def keeps_reasoning() -> Iterator[str]:
    engine = KeepsReasoning([Line("<think>I wonder.</think>Well.")], model=MODEL)
    with live_server(engine, dialect=dialects.get("qwen3")) as url:
        yield url


def loop(uses: int, words: str = "rain " * 50) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [user("Read all files.")]
    for number in range(uses):
        call = {"type": "tool_use", "id": f"call_{number}", "name": "read", "input": {"path": str(number)}}
        result = {"type": "tool_result", "tool_use_id": f"call_{number}", "content": f"File {number}: {words}"}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return messages


def edits(*each: dict[str, Any]) -> dict[str, Any]:
    return {"edits": list(each)}


def clear_uses(**fields: Any) -> dict[str, Any]:
    trigger = {"type": "tool_uses", "value": 3}
    return {"type": "clear_tool_uses_20250919", "trigger": trigger, "keep": {"type": "tool_uses", "value": 1}, **fields}


def clear_thinking(keep: Any = None) -> dict[str, Any]:
    return {"type": "clear_thinking_20251015", **({"keep": keep} if keep else {})}


def answered(url: str, messages: Sequence[dict[str, Any]], **fields: Any) -> BetaMessage:
    """Return the answer, the same streamed and not, by the SDK's types."""
    request = body(*messages, tools=[TOOL], **fields)
    whole = post(url, request, "/v1/messages?beta=true", anthropic_beta=BETA).json
    events = post(url, request | {"stream": True}, "/v1/messages?beta=true", anthropic_beta=BETA).events
    start, end = events[0]["message"], next(event for event in events if event["type"] == "message_delta")
    assert start["diagnostics"] == whole["diagnostics"]
    assert end.get("context_management") == whole.get("context_management")
    return BetaMessage.model_validate(whole, strict=True)


def applied(message: BetaMessage) -> list[dict[str, Any]]:
    assert message.context_management is not None
    return [edit.model_dump() for edit in message.context_management.applied_edits]


@pytest.mark.clause("BETA-4", "SSE-21", "CNT-4", "RES-8")
@pytest.mark.parametrize("words", ["rain " * 50, "rain " * 10_000], ids=["read at once", "read by a worker"])
def test_old_tool_results_are_cleared_and_the_saving_is_exact(engine: ControllableEngine, words: str) -> None:
    url = engine.says("Done.")
    engine.requests.clear()
    message = answered(url, loop(5, words), context_management=edits(clear_uses()))
    (edit,) = applied(message)
    assert edit["type"] == "clear_tool_uses_20250919"
    assert edit["cleared_tool_uses"] == 3
    plain = body(*loop(5, words), tools=[TOOL])
    counted = post(url, plain, "/v1/messages/count_tokens").json["input_tokens"]
    assert counted - edit["cleared_input_tokens"] == len(engine.prompts[0]) == message.usage.input_tokens
    managed = plain | {"context_management": edits(clear_uses())}
    count = post(url, managed, "/v1/messages/count_tokens", anthropic_beta=BETA).json
    BetaMessageTokensCount.model_validate(count, strict=True)
    assert count == {
        "input_tokens": message.usage.input_tokens,
        "context_management": {"original_input_tokens": counted},
    }


@pytest.mark.clause("BETA-4")
def test_an_edit_below_its_trigger_is_not_applied(engine: ControllableEngine) -> None:
    url = engine.says("Done.")
    assert applied(answered(url, loop(3), context_management=edits(clear_uses()))) == []
    assert applied(answered(url, loop(5), context_management=edits({"type": "clear_tool_uses_20250919"}))) == []
    at_least = clear_uses(clear_at_least={"type": "input_tokens", "value": 100_000})
    assert applied(answered(url, loop(5), context_management=edits(at_least))) == []


@pytest.mark.clause("BETA-4")
def test_old_reasoning_is_cleared_and_kept_on_request(keeps_reasoning: str) -> None:
    url = keeps_reasoning
    thinking = answered(url, [user("Hi")], thinking=THINKING, max_tokens=2000).content
    turns = [user("Hi"), {"role": "assistant", "content": [block.model_dump() for block in thinking]}]
    messages = [*turns, *turns, *turns, user("And?")]
    for keep, cleared in ((None, 2), ({"type": "thinking_turns", "value": 2}, 1), ("all", 0), ({"type": "all"}, 0)):
        message = answered(url, messages, context_management=edits(clear_thinking(keep)), thinking=THINKING, max_tokens=2000)
        found = [edit["cleared_thinking_turns"] for edit in applied(message)]
        assert found == ([cleared] if cleared else [])


@pytest.mark.clause("BETA-4")
def test_a_request_without_context_management_has_no_such_field(engine: ControllableEngine) -> None:
    message = post(engine.says("Done."), body()).json
    assert "context_management" not in message
    assert message["diagnostics"] is None


@pytest.mark.clause("CACHE-4")
def test_each_edit_is_logged_and_breaks_the_prefix_once(serve: Serve, log: RequestLog) -> None:
    url = serve("Done.", aliases=("edited",))
    for uses in range(1, 12):
        post(url, body(*loop(uses), model="edited", tools=[TOOL], context_management=edits(clear_uses())))
    until(lambda: len(logged(log)) == 11)
    notes = [note.split(",")[0] for line in logged(log) for note in line.get("notes", ()) if note.startswith("cleared: ")]
    assert list(dict.fromkeys(notes)) == [f"cleared: {count} tool uses" for count in (3, 6, 9)]
    assert len(notes) == 8
    assert sum("diverged" in line for line in logged(log)) == 3


def logged(log: RequestLog) -> list[dict[str, Any]]:
    return [line for line in log.lines if line["model"] == "edited"]


REFUSED = [
    ({"type": "compress_20300101"}, "context_management.edits.0.type: compress_20300101 is not supported by this server"),
    (clear_uses(keep={"type": "tool_uses", "value": -1}), "keep.value: Input should be greater than or equal to 0"),
    (clear_uses(trigger={"type": "hours", "value": 1}), "Input tag 'hours'"),
    (clear_thinking({"type": "thinking_turns", "value": 0}), "keep"),
]


@pytest.mark.clause("BETA-4", "ERR-9")
@pytest.mark.parametrize(("edit", "reason"), REFUSED)
def test_an_invalid_edit_is_refused_at_its_path(engine: ControllableEngine, edit: dict[str, Any], reason: str) -> None:
    answer = post(engine.url, body(context_management=edits(edit)))
    kind, message = answer.error
    assert kind == "invalid_request_error"
    assert message.startswith("context_management.edits.0")
    assert reason in message


def test_a_later_edit_that_clears_is_ignored_and_noted(serve: Serve, log: RequestLog) -> None:
    url = serve("Done.", aliases=("edited",))
    post(url, body(model="edited", context_management=edits({"type": "clear_all_20300101", "keep": 1})))
    until(lambda: len(logged(log)) == 1)
    assert logged(log)[0]["notes"] == ["ignored: clear_all_20300101, a later edit"]


@pytest.mark.clause("CACHE-5", "SSE-21", "RES-8")
def test_a_cache_miss_is_explained(engine: ControllableEngine) -> None:
    url = engine.says("Done.")
    first = answered(url, [user("Hi")], system="Be kind.", diagnostics={"previous_message_id": None})
    assert first.diagnostics is None
    asked = {"previous_message_id": first.id}
    further = [user("Hi"), {"role": "assistant", "content": "Done."}, user("So?")]
    assert answered(url, further, system="Be kind.", diagnostics=asked).diagnostics is None
    changed = answered(url, further, system="Be stern.", diagnostics=asked)
    assert changed.diagnostics is not None
    reason = changed.diagnostics.cache_miss_reason
    assert reason is not None
    assert reason.type == "system_changed"
    assert reason.cache_missed_input_tokens > 0
    lost = answered(url, further, diagnostics={"previous_message_id": "msg_lost"})
    assert lost.diagnostics is not None
    assert lost.diagnostics.model_dump() == {"cache_miss_reason": {"type": "previous_message_not_found"}}
