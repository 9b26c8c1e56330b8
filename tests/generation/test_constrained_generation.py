"""Constrained generations, with and without an engine that enforces constraints: forced calls, formats, thinking budgets."""

import json
import socket
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dragoman import dialects
from dragoman.conversation import AnswerPolicy, ThinkingPolicy, Tool, ToolChoice, ToolPolicy
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed
from dragoman.generation import Generation
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, StopReason, ThinkingEnd
from dragoman.parts import Text as TextPart
from dragoman.parts import Thinking as ThinkingPart
from dragoman.prompt import Prompt

QWEN3 = dialects.get("qwen3")
ADD = Tool("add", "", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
NOW = Tool("now", "", {"type": "object", "properties": {}})
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
PROMPT = "a prompt of five words"


class RecordingEngine(ScriptedEngine):
    """Replays the lines, one for each request, and keeps the requests."""

    def __init__(self, *lines: str, constrains: bool = True) -> None:
        super().__init__([Line(line) for line in lines], constrains=constrains)
        self.requests: list[EngineRequest] = []

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.requests.append(request)
        async for chunk in super().generate(request):
            yield chunk

    async def read(self, request: EngineRequest) -> str:
        return "".join(self.words[token] for token in request.tokens)


def ask(**policies: Any) -> AnswerPolicy:
    return AnswerPolicy(**{"tools": [ADD, NOW], "max_tokens": 1000} | policies)


async def answer(engine: RecordingEngine, policy: AnswerPolicy, **prompt: Any) -> tuple[Generation, list[Part]]:
    constrains = (await engine.start()).constrains
    tokens = await engine.tokenize(PROMPT)
    made = Prompt(tokens, "", prompt.get("remaining", 10_000), prompt.get("thinking_open", False))
    generation = Generation(engine, dialects.Constrainer(QWEN3), policy, made, constrains=constrains)
    return generation, [part async for part in generation.run()]


def texts(parts: Sequence[Part], kind: type[TextPart] | type[ThinkingPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def forced(choice: str = "any", name: str | None = None) -> AnswerPolicy:
    return ask(tool_policy=ToolPolicy(ToolChoice(choice), name))


@pytest.mark.clause("THK-2", "USE-5")
async def test_reasoning_is_closed_when_its_budget_is_spent_and_the_answer_continues() -> None:
    engine = RecordingEngine("<think>\none two three four five six", "It is six.")
    _, parts = await answer(engine, ask(thinking=ThinkingPolicy(enabled=True, budget=4)))
    first, second = engine.requests
    assert len(first.tokens) == 5
    assert (await engine.read(second)).startswith(PROMPT + "<think>\none two three")
    assert (await engine.read(second)).endswith(QWEN3.close_thinking)
    thought = texts(parts, ThinkingPart)
    assert thought.startswith("one two three")
    assert "six" not in thought
    assert sum(isinstance(part, ThinkingEnd) for part in parts) == 1
    assert texts(parts, TextPart) == "It is six."
    ending = parts[-1]
    assert isinstance(ending, Ending)
    assert ending.reason is StopReason.END_TURN
    assert ending.counts.prompt == 5
    assert 4 <= ending.counts.thinking <= 6
    assert second.limit == first.limit - (ending.counts.output - 3)
    assert second.constraint is not None
    assert second.constraint is not first.constraint  # the second request has no reasoning


@pytest.mark.clause("THK-2")
async def test_a_budget_that_is_not_reached_changes_nothing() -> None:
    engine = RecordingEngine("<think>\none two\n</think>\n\nThree.")
    _, parts = await answer(engine, ask(thinking=ThinkingPolicy(enabled=True, budget=1024)))
    assert len(engine.requests) == 1
    assert texts(parts, TextPart) == "Three."


@pytest.mark.clause("THK-2", "STOP-1")
async def test_reasoning_that_is_closed_at_the_limit_ends_the_answer() -> None:
    engine = RecordingEngine("one two three four five six")
    conversation = ask(thinking=ThinkingPolicy(enabled=True, budget=4), max_tokens=4)
    _, parts = await answer(engine, conversation, thinking_open=True)
    assert len(engine.requests) == 1
    assert isinstance(parts[-1], Ending)
    assert parts[-1].reason is StopReason.MAX_TOKENS


@pytest.mark.clause("TOOL-5")
@pytest.mark.parametrize("name", ["add", None])
async def test_an_engine_without_constraints_gets_the_opening_of_a_forced_call_in_the_prompt(name: str | None) -> None:
    opening = dialects.call_opening(QWEN3, [ADD] if name else [ADD, NOW])
    engine = RecordingEngine(CALL.removeprefix(opening), constrains=False)
    _, parts = await answer(engine, forced("tool" if name else "any", name))
    assert (await engine.read(engine.requests[0])) == PROMPT + opening
    assert engine.requests[0].constraint is None
    merged = "".join(part.json for part in parts if isinstance(part, CallDelta))
    assert [part.name for part in parts if isinstance(part, CallStart)] == ["add"]
    assert merged == '{"a": 1}'
    assert CallEnd() in parts
    assert isinstance(parts[-1], Ending)
    assert parts[-1].reason is StopReason.TOOL_USE


@pytest.mark.clause("TOOL-5", "STOP-2")
async def test_a_missing_forced_call_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="without one"):
        await answer(RecordingEngine("I rather not."), forced())


@pytest.mark.clause("TOOL-5", "STOP-3")
async def test_a_forced_call_that_is_cut_ends_with_max_tokens() -> None:
    _, parts = await answer(RecordingEngine(CALL), replace(forced(), max_tokens=3))
    assert isinstance(parts[-1], Ending)
    assert parts[-1].reason is StopReason.MAX_TOKENS


@pytest.mark.clause("TOOL-11")
async def test_a_strict_call_that_violates_its_schema_is_reported() -> None:
    strict = ask(tools=[replace(ADD, strict=True)])
    generation, _ = await answer(RecordingEngine(CALL.replace("1", '"one"')), strict)
    assert generation.violations == ['call of add: the value is not of type "integer"']
    generation, _ = await answer(RecordingEngine(CALL), strict)
    assert generation.violations == []


@pytest.mark.clause("TOOL-11")
async def test_no_schema_causes_requests_or_long_validation() -> None:
    steps = {f"a{number}": {"anyOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 4} for number in range(20)}
    with socket.create_server(("127.0.0.1", 0)) as visited:
        visited.settimeout(0)
        elsewhere = {"$ref": f"http://127.0.0.1:{visited.getsockname()[1]}/schema"}
        for schema in (elsewhere, {"properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": {**steps, "a20": {}}}):
            generation, _ = await answer(RecordingEngine(CALL), ask(tools=[replace(ADD, strict=True, schema=schema)]))
            assert generation.violations == ["call of add: its schema is not one that can be checked"]
        with pytest.raises(BlockingIOError):
            visited.accept()


@pytest.mark.clause("STR-1", "STR-3")
async def test_an_answer_that_violates_its_format_is_reported() -> None:
    wanted = ask(tools=[], output={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    generation, _ = await answer(RecordingEngine('{"n": 1}'), wanted)
    assert generation.violations == []
    generation, _ = await answer(RecordingEngine("{}"), wanted)
    assert generation.violations == ['output format: "n" is a required property']
    generation, _ = await answer(RecordingEngine("Well."), wanted)
    assert len(generation.violations) == 1


ROUND = "round and round and "


@pytest.mark.clause("STOP-1")
async def test_a_model_that_repeats_itself_is_stopped_and_reported() -> None:
    engine = RecordingEngine("It begins well. " + ROUND * 1000)
    generation, parts = await answer(engine, ask(max_tokens=10_000))
    ending = parts[-1]
    assert isinstance(ending, Ending)
    assert ending.reason is StopReason.END_TURN
    assert 4000 <= len(texts(parts, TextPart)) < 5000
    assert generation.repairs == ["repetition stopped"]


@pytest.mark.clause("STOP-3")
async def test_repetition_in_an_unforced_call_leaves_it_cut() -> None:
    engine = RecordingEngine('<tool_call>\n{"name": "add", "arguments": {"a": "' + ROUND * 1000)
    generation, parts = await answer(engine, ask(max_tokens=10_000))
    assert isinstance(parts[-1], Ending)
    assert parts[-1].reason is StopReason.MAX_TOKENS
    assert generation.broke_call


@pytest.mark.clause("TOOL-5", "STOP-2")
@pytest.mark.parametrize("max_tokens", [60, 100, 400])
async def test_repetition_in_a_forced_call_is_completed_before_the_limit(max_tokens: int) -> None:
    tool = Tool("note", "", {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}})
    tool.schema["required"] = ["text", "n"]  # type: ignore[index]
    engine = RecordingEngine('<tool_call>\n{"name": "note", "arguments": {"text": "' + ROUND * 1000)
    conversation = replace(forced(), tools=[tool], max_tokens=max_tokens)
    generation, parts = await answer(engine, conversation)
    arguments = json.loads("".join(part.json for part in parts if isinstance(part, CallDelta)))
    assert arguments["text"].startswith(ROUND * 10)
    assert isinstance(arguments["n"], int)
    assert isinstance(parts[-1], Ending)
    assert parts[-1].reason is StopReason.TOOL_USE
    assert generation.repairs == ["repetition stopped"]
    assert generation.violations == []


async def test_repetition_in_reasoning_ends_the_reasoning() -> None:
    engine = RecordingEngine("<think>\n" + ROUND * 1000, "Done.")
    generation, parts = await answer(engine, ask(max_tokens=10_000, thinking=ThinkingPolicy(enabled=True)))
    assert texts(parts, TextPart) == "Done."
    assert generation.repairs == ["reasoning closed"]


@pytest.mark.parametrize("text", ["word " * 700, "-" * 300 + "\n" + "=" * 300, "0, " * 500], ids=["short", "rules", "numbers"])
async def test_monotonous_text_is_not_stopped(text: str) -> None:
    engine = RecordingEngine(text)
    _, parts = await answer(engine, ask(max_tokens=10_000))
    assert texts(parts, TextPart) == text.rstrip() or texts(parts, TextPart) == text
