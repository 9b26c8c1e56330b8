"""Answers in which the server runs tools: the rounds of the loop, over the scripted engine."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from dragoman import dialects
from dragoman.conversation import (
    AnswerPolicy,
    Conversation,
    Dialogue,
    Role,
    Text,
    Thinking,
    ThinkingDisplay,
    ThinkingPolicy,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
)
from dragoman.conversation.types import JsonObject
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import PromptTooLong
from dragoman.generation import Generation, ToolLoop
from dragoman.generation.tool_loop import MOST_ROUNDS
from dragoman.parts import CallStart, Ending, Part, ServerCallStart, ServerResult, ServerToolUses, StopReason
from dragoman.parts.server_tools import SearchHit, SearchHits, ServerToolKind, ServerToolOutput, ToolFailure, is_own_call_id
from dragoman.prompt import Prompt
from dragoman.server_tools import ServerTool

QWEN3 = dialects.get("qwen3")
CLIENT_TOOL = Tool("add", "", {"type": "object"})
DONE = "It is at noon."


def call(name: str = "search", **arguments: Any) -> str:
    return QWEN3.encode_calls([ToolCall("", name, arguments or {"query": "tides"})])


class Search(ServerTool):
    """Finds one page for each query, and records the queries."""

    kind = ServerToolKind.WEB_SEARCH

    def __init__(self) -> None:
        schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
        super().__init__("search", "Search the web.", schema)
        self.queries: list[str] = []

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        self.queries.append(call["query"])
        return SearchHits((SearchHit("https://tides.test", "Tides", f"about {call['query']}"),))


class Conversations:
    """Makes the generations of a loop, and keeps the conversation of each round."""

    def __init__(self, script: Sequence[str | Line]) -> None:
        self.engine = ScriptedEngine([line if isinstance(line, Line) else Line(line) for line in script])
        self.rounds: list[Conversation] = []

    async def generation(self, conversation: Conversation) -> Generation:
        self.rounds.append(conversation)
        tokens = await self.engine.tokenize(f"a prompt {'turn ' * len(conversation.dialogue.turns)}")
        return Generation(
            self.engine, dialects.Constrainer(QWEN3), conversation.policy, Prompt(tokens, "", 10_000, thinking_open=False)
        )

    async def next_round(self, conversation: Conversation) -> tuple[Conversation, Generation]:
        return conversation, await self.generation(conversation)


class Run:
    """One answer in rounds."""

    def __init__(self, script: Sequence[str | Line], tool: ServerTool | None = None, **policy: Any) -> None:
        self.tool = tool or Search()
        self.made = Conversations(script)
        tools = [CLIENT_TOOL, self.tool.tool]
        self.conversation = Conversation(
            Dialogue((Turn(Role.USER, (Text("When is high tide?"),)),), tools=tools),
            AnswerPolicy(**{"tools": tools, "max_tokens": 1000} | policy),
        )

    async def loop(self) -> ToolLoop:
        first = await self.made.generation(self.conversation)
        return ToolLoop(first, self.conversation, [self.tool], self.made.next_round)

    async def parts(self) -> list[Part]:
        return [part async for part in (await self.loop()).run()]


def results(parts: Sequence[Part]) -> list[ServerToolOutput]:
    return [part.output for part in parts if isinstance(part, ServerResult)]


def ending(parts: Sequence[Part]) -> Ending:
    assert isinstance(parts[-1], Ending)
    assert [type(part) for part in parts].count(Ending) == 1
    return parts[-1]


@pytest.mark.clause("TOOL-15", "USE-3")
async def test_a_call_is_run_and_its_result_is_in_the_prompt_of_the_next_round() -> None:
    run = Run(["I look. " + call(), DONE])
    parts = await run.parts()
    (found,) = results(parts)
    assert found == SearchHits((SearchHit("https://tides.test", "Tides", "about tides"),))
    assert (ending(parts).reason, ending(parts).uses) == (StopReason.END_TURN, ServerToolUses(1))

    first, second = run.made.rounds
    call_id = next(part.id for part in parts if isinstance(part, ServerCallStart))
    assert is_own_call_id(call_id)
    assert second.dialogue.turns == (
        *first.dialogue.turns,
        Turn(Role.ASSISTANT, (Text("I look."), ToolCall(call_id, "search", {"query": "tides"}))),
        Turn(Role.USER, (ToolResult(call_id, "search", (Text(found.text),), is_error=False),)),
    )


async def test_counts_are_those_of_all_rounds_and_max_tokens_is_for_the_whole_message() -> None:
    run = Run([call(), DONE])
    loop = await run.loop()
    parts = [part async for part in loop.run()]
    counts = [generation.counts for generation in loop.runs]
    assert ending(parts).counts.prompt == sum(each.prompt for each in counts)
    assert ending(parts).counts.output == sum(each.output for each in counts)
    assert run.made.rounds[1].policy.max_tokens == 1000 - counts[0].output


async def test_calls_of_one_round_run_side_by_side_and_their_results_are_in_the_order_of_the_calls() -> None:
    class Meeting(Search):
        def __init__(self) -> None:
            super().__init__()
            self.second_runs = asyncio.Event()

        async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
            if call["query"] == "first":
                await self.second_runs.wait()
            else:
                self.second_runs.set()
            return await super().run(call, dialogue)

    parts = await Run([call(query="first") + call(query="second"), DONE], Meeting()).parts()
    assert [output.text.splitlines()[-1] for output in results(parts)] == ["about first", "about second"]


@pytest.mark.clause("STOP-2")
async def test_a_call_of_the_client_ends_the_message_with_the_results_of_the_server_calls_beside_it() -> None:
    run = Run([call(query="a") + call("add", a=1), DONE])
    parts = await run.parts()
    assert [type(part) for part in parts if isinstance(part, CallStart | ServerCallStart | ServerResult)] == [
        ServerCallStart,
        CallStart,
        ServerResult,
    ]
    assert ending(parts).reason is StopReason.TOOL_USE
    assert len(run.made.rounds) == 1


@pytest.mark.clause("STOP-4")
async def test_an_answer_pauses_after_ten_rounds() -> None:
    run = Run([call()])
    parts = await run.parts()
    assert len(run.made.rounds) == len(results(parts)) == MOST_ROUNDS
    assert ending(parts).reason is StopReason.PAUSE_TURN


@pytest.mark.parametrize("display", ThinkingDisplay)
async def test_reasoning_is_kept_between_rounds(display: ThinkingDisplay) -> None:
    thought = "<think>\nI should search.\n</think>\n\n"
    run = Run([thought + call(), DONE], thinking=ThinkingPolicy(enabled=True, display=display))
    await run.parts()
    assert run.made.rounds[1].dialogue.turns[1].content[0] == Thinking("I should search.")


@pytest.mark.clause("TOOL-5")
async def test_a_forced_call_is_forced_in_the_first_round_only() -> None:
    run = Run([call(), DONE], tool_policy=ToolPolicy(ToolChoice.TOOL, "search", parallel=False))
    assert ending(await run.parts()).reason is StopReason.END_TURN
    assert run.made.rounds[1].policy.tool_policy == ToolPolicy(ToolChoice.AUTO, parallel=False)


class Failing(Search):
    """Fails in the way that the query names."""

    seconds = 0.01

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        match call["query"]:
            case "raises":
                raise ValueError("no such page")
            case "hangs":
                await asyncio.Event().wait()
            case "long":
                return SearchHits((SearchHit("https://a.test", "A", "a" * 1_000_000),))
        return ToolFailure(self.kind, "too_many_requests")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"query": "raises"}, "unavailable"),
        ({"query": "hangs"}, "unavailable"),
        ({"query": "long"}, "unavailable"),
        ({"query": "limited"}, "too_many_requests"),
        ({"question": "tides"}, "invalid_tool_input"),
    ],
)
async def test_a_failure_is_a_result_and_the_answer_goes_on(arguments: dict[str, str], code: str) -> None:
    run = Run([call(**arguments), DONE], Failing())
    parts = await run.parts()
    assert results(parts) == [ToolFailure(ServerToolKind.WEB_SEARCH, code)]
    assert (ending(parts).reason, ending(parts).uses) == (StopReason.END_TURN, ServerToolUses(0))
    result = run.made.rounds[1].dialogue.turns[2].content[0]
    assert isinstance(result, ToolResult)
    assert result.is_error


@pytest.mark.clause("STOP-3")
async def test_a_cut_call_is_not_run_and_ends_the_message() -> None:
    run = Run([call(query="a b c d e f g h i j k l m n o p")], max_tokens=8)
    parts = await run.parts()
    assert results(parts) == [ToolFailure(ServerToolKind.WEB_SEARCH, "invalid_tool_input")]
    assert ending(parts).reason is StopReason.MAX_TOKENS


async def test_a_call_that_the_model_breaks_off_is_a_failure_after_which_it_goes_on() -> None:
    run = Run([call().partition("tides")[0], DONE])
    parts = await run.parts()
    assert results(parts) == [ToolFailure(ServerToolKind.WEB_SEARCH, "invalid_tool_input")]
    assert ending(parts).reason is StopReason.END_TURN


async def test_an_answer_whose_results_fill_the_window_ends_with_that_reason() -> None:
    run = Run([call(), DONE])

    async def too_long(conversation: Conversation) -> Generation:
        raise PromptTooLong(9, 8)

    loop = ToolLoop(await run.made.generation(run.conversation), run.conversation, [run.tool], too_long)
    parts = [part async for part in loop.run()]
    assert len(results(parts)) == 1
    assert ending(parts).reason is StopReason.CONTEXT_WINDOW


async def test_an_answer_that_continues_a_prefill_is_one_turn_with_it() -> None:
    run = Run([" noon. " + call(), DONE])
    prefill = Turn(Role.ASSISTANT, (Text("It is at"),))
    dialogue = run.conversation.dialogue
    run.conversation = replace(run.conversation, dialogue=replace(dialogue, turns=(*dialogue.turns, prefill)))
    await run.parts()
    assert [turn.role for turn in run.made.rounds[1].dialogue.turns] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert run.made.rounds[1].dialogue.turns[1].content[0] == Text("It is at")


@pytest.mark.clause("TRN-18")
async def test_closing_the_answer_cancels_the_running_tools() -> None:
    class Waiting(Search):
        def __init__(self) -> None:
            super().__init__()
            self.begun, self.cancelled = asyncio.Event(), False

        async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
            self.begun.set()
            try:
                return await asyncio.Future()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    tool = Waiting()
    run = Run([call()], tool)

    async def answer() -> None:
        async with aclosing((await run.loop()).run()) as parts:
            async for _ in parts:
                pass

    task = asyncio.create_task(answer())
    await tool.begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert tool.cancelled
