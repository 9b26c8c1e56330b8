"""Generations: the parts of an engine's output, and the stop reason."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from dragoman import dialects
from dragoman.conversation import AnswerPolicy, ThinkingDisplay, ThinkingPolicy, Tool, ToolChoice, ToolPolicy
from dragoman.conversation.signature import recover, sign
from dragoman.engines import Drafts, EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed
from dragoman.generation import Generation
from dragoman.generation.endings import ENDINGS, EndCause
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, StopReason, ThinkingEnd, TokenCounts
from dragoman.parts import Text as TextPart
from dragoman.parts import Thinking as ThinkingPart
from dragoman.prompt import Prompt

QWEN3 = dialects.get("qwen3")
ADD = Tool("add", "", {"type": "object", "properties": {"a": {}, "b": {}}})
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
THOUGHT = "<think>\nI add them up.\n</think>\n\n"


def ask(**policies: Any) -> AnswerPolicy:
    return AnswerPolicy(**{"tools": [ADD], "max_tokens": 1000} | policies)


async def generation(
    script: Line | str | ScriptedEngine, policy: AnswerPolicy, *, remaining: int = 10_000, thinking_open: bool = False
) -> Generation:
    engine = (
        script if isinstance(script, ScriptedEngine) else ScriptedEngine([script if isinstance(script, Line) else Line(script)])
    )
    tokens = await engine.tokenize("a prompt of five words")
    return Generation(engine, dialects.Constrainer(QWEN3), policy, Prompt(tokens, "", remaining, thinking_open))


async def generate(script: Line | str, policy: AnswerPolicy | None = None, **prompt: Any) -> list[Any]:
    """Return the parts, with adjacent ones of a kind merged, and call ids replaced by their number."""
    generated = await generation(script, policy or ask(), **prompt)
    return merge([part async for part in generated.run()])


def merge(parts: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    calls: list[str] = []
    for part in parts:
        match merged[-1] if merged else None, part:
            case (TextPart(before), TextPart(text)):
                merged[-1] = TextPart(before + text)
            case (ThinkingPart(before), ThinkingPart(text)):
                merged[-1] = ThinkingPart(before + text)
            case (CallDelta(json=before), CallDelta(json=text)):
                merged[-1] = CallDelta(before + text)
            case (_, CallStart(name, identifier)):
                assert identifier.startswith("toolu_")
                assert identifier not in calls
                calls.append(identifier)
                merged.append(CallStart(name, f"#{len(calls)}"))
            case _:
                merged.append(part)
    return merged


PREFILL = Prefill(total=5, cached=0, done=5)


def ending(reason: StopReason, output: int, thinking: int = 0, matched: str | None = None) -> Ending:
    return Ending(reason, TokenCounts(5, 0, output, thinking), matched)


def call_parts(number: int = 1) -> list[Part]:
    return [CallStart("add", f"#{number}"), CallDelta('{"a": 1, "b": 2}'), CallEnd()]


ENDED: dict[str, tuple[Line | str, dict[str, Any], list[Part]]] = {
    "the model is done": ("Hello there.", {}, [TextPart("Hello there."), ending(StopReason.END_TURN, 2)]),
    "the model says nothing": ("", {}, [ending(StopReason.END_TURN, 0)]),
    "the model calls": (f"I add.\n{CALL}", {}, [TextPart("I add."), *call_parts(), ending(StopReason.TOOL_USE, 11)]),
    "the model calls twice": (
        f"{CALL}\n{CALL}",
        {},
        [*call_parts(), *call_parts(2), ending(StopReason.TOOL_USE, 18)],
    ),
    "the limit": ("one two three", {"max_tokens": 2}, [TextPart("one two"), ending(StopReason.MAX_TOKENS, 2)]),
    "the limit is the length": ("one two", {"max_tokens": 2}, [TextPart("one two"), ending(StopReason.END_TURN, 2)]),
    "the limit in a call": (
        f"I add.\n{CALL}",
        {"max_tokens": 8},
        [
            TextPart("I add."),
            CallStart("add", "#1"),
            CallDelta('{"a": 1'),
            CallEnd(complete=False),
            ending(StopReason.MAX_TOKENS, 8),
        ],
    ),
    "the limit after a call": (
        Line(CALL, finish_reason="length"),
        {},
        [*call_parts(), ending(StopReason.MAX_TOKENS, 9)],
    ),
    "nothing was to be generated": ("Hello there.", {"max_tokens": 0}, [ending(StopReason.MAX_TOKENS, 0)]),
    "nothing was to be generated of nothing": ("", {"max_tokens": 0}, [ending(StopReason.MAX_TOKENS, 0)]),
    "the window": ("one two three", {"remaining": 2}, [TextPart("one two"), ending(StopReason.CONTEXT_WINDOW, 2)]),
    "the window and the limit together": (
        "one two three",
        {"remaining": 2, "max_tokens": 2},
        [TextPart("one two"), ending(StopReason.MAX_TOKENS, 2)],
    ),
    "the window in a call": (
        CALL,
        {"remaining": 6},
        [CallStart("add", "#1"), CallDelta('{"a": 1'), CallEnd(complete=False), ending(StopReason.CONTEXT_WINDOW, 6)],
    ),
    "a stop sequence": (
        Line("one END two", chunk=0),
        {"stop_sequences": ["END"]},
        [TextPart("one "), ending(StopReason.STOP_SEQUENCE, 3, matched="END")],
    ),
    "a stop sequence at the end": (
        "one END",
        {"stop_sequences": ["END"]},
        [TextPart("one "), ending(StopReason.STOP_SEQUENCE, 2, matched="END")],
    ),
    "a stop sequence at the very beginning": (
        Line("END one", chunk=3),
        {"stop_sequences": ["END"]},
        [ending(StopReason.STOP_SEQUENCE, 1, matched="END")],
    ),
    "a stop sequence that is not completed": (
        "one EN",
        {"stop_sequences": ["END"]},
        [TextPart("one EN"), ending(StopReason.END_TURN, 2)],
    ),
    "a stop sequence cut by the limit": (
        "one EN D",
        {"stop_sequences": ["EN D"], "max_tokens": 2},
        [TextPart("one EN"), ending(StopReason.MAX_TOKENS, 2)],
    ),
    "a stop sequence in front of a call": (
        Line(f"I END\n{CALL}", chunk=0),
        {"stop_sequences": ["END"]},
        [TextPart("I "), ending(StopReason.STOP_SEQUENCE, 11, matched="END")],
    ),
}


@pytest.mark.clause(
    "STOP-1", "STOP-2", "STOP-3", "STOP-6", "SEQ-1", "SEQ-2", "SEQ-4", "REQ-2", "REQ-3", "REQ-4", "RES-4", "TOOL-8", "USE-4"
)  # fmt: skip
@pytest.mark.parametrize(("script", "policies", "parts"), ENDED.values(), ids=ENDED)
async def test_each_ending_has_its_stop_reason(script: Line | str, policies: dict[str, Any], parts: list[Part]) -> None:
    remaining = policies.get("remaining", 10_000)
    conversation = ask(**{name: value for name, value in policies.items() if name != "remaining"})
    assert await generate(script, conversation, remaining=remaining) == [PREFILL, *parts]


@pytest.mark.clause("STOP-1", "STOP-7")
def test_every_end_cause_and_every_stop_reason_is_in_the_table() -> None:
    assert set(ENDINGS) == set(EndCause)
    assert set(ENDINGS.values()) == set(StopReason) - {StopReason.PAUSE_TURN, StopReason.COMPACTION}  # of several answers


@pytest.mark.clause("THK-6", "THK-7", "USE-4", "SSE-12")
async def test_reasoning_is_separated_signed_and_counted() -> None:
    assert await generate(f"{THOUGHT}It is 3.") == [
        PREFILL,
        ThinkingPart("I add them up."),
        ThinkingEnd(sign("I add them up.", shown=True)),
        TextPart("It is 3."),
        ending(StopReason.END_TURN, 9, thinking=5),
    ]


@pytest.mark.clause("THK-6", "USE-4")
async def test_reasoning_opened_by_the_template_is_parsed() -> None:
    assert await generate(Line("I add them up.\n</think>\n\nIt is 3.", chunk=1), thinking_open=True) == [
        PREFILL,
        ThinkingPart("I add them up."),
        ThinkingEnd(sign("I add them up.", shown=True)),
        TextPart("It is 3."),
        ending(StopReason.END_TURN, 8, thinking=5),
    ]


@pytest.mark.clause("THK-7", "STOP-3")
@pytest.mark.parametrize(("remaining", "reason"), [(10_000, StopReason.MAX_TOKENS), (3, StopReason.CONTEXT_WINDOW)])
async def test_reasoning_that_is_cut_is_signed(remaining: int, reason: StopReason) -> None:
    conversation = ask(max_tokens=3 if remaining > 3 else 1000)
    parts = await generate(Line(f"{THOUGHT}It is 3.", chunk=1), conversation, remaining=remaining)
    assert parts == [PREFILL, ThinkingPart("I add"), ThinkingEnd(sign("I add", shown=True)), ending(reason, 3, thinking=2)]


@pytest.mark.clause("THK-8", "THK-9", "USE-4")
async def test_omitted_reasoning_is_kept_in_its_signature() -> None:
    hidden = ThinkingPolicy(enabled=True, display=ThinkingDisplay.OMITTED)
    parts = await generate(f"{THOUGHT}It is 3.", ask(thinking=hidden))
    assert parts == [
        PREFILL,
        ThinkingEnd(sign("I add them up.", shown=False)),
        TextPart("It is 3."),
        ending(StopReason.END_TURN, 9, thinking=5),
    ]
    assert recover(parts[1].signature) == "I add them up."


@pytest.mark.clause("THK-7", "RES-4")
@pytest.mark.parametrize("display", ThinkingDisplay)
async def test_an_empty_span_of_reasoning_makes_no_block(display: ThinkingDisplay) -> None:
    parts = await generate("<think>\n\n</think>\n\nHi", ask(thinking=ThinkingPolicy(enabled=True, display=display)))
    assert parts[:-1] == [PREFILL, TextPart("Hi")]


@pytest.mark.clause("THK-13", "RES-6", "SEQ-2")
async def test_reasoning_between_calls_keeps_its_place_after_held_text() -> None:
    parts = await generate(f"So EN{THOUGHT}{CALL}<think>\nAgain.\n</think>\n{CALL}", ask(stop_sequences=["END"]))
    assert parts[1:-1] == [
        TextPart("So EN"),
        ThinkingPart("I add them up."),
        ThinkingEnd(sign("I add them up.", shown=True)),
        *call_parts(),
        ThinkingPart("Again."),
        ThinkingEnd(sign("Again.", shown=True)),
        *call_parts(2),
    ]
    assert parts[-1].reason is StopReason.TOOL_USE


@pytest.mark.clause("SEQ-4")
async def test_stop_sequences_match_visible_text_only() -> None:
    stops = ask(stop_sequences=["END", '"a"', "add", "</think>", "<tool_call>"])
    parts = await generate(f"<think>\nEND add\n</think>\n\nSo\n{CALL}", stops)
    assert parts[1:] == [
        ThinkingPart("END add"),
        ThinkingEnd(sign("END add", shown=True)),
        TextPart("So"),
        *call_parts(),
        ending(StopReason.TOOL_USE, 14, thinking=parts[-1].counts.thinking),
    ]


@pytest.mark.clause("SEQ-4")
@pytest.mark.parametrize("between", [THOUGHT, f"\n{CALL}\n"], ids=["reasoning", "a call"])
async def test_a_stop_sequence_does_not_match_across_blocks(between: str) -> None:
    parts = await generate(f"EN{between}D", ask(stop_sequences=["END"]))
    assert [part.text.strip() for part in parts if isinstance(part, TextPart)] == ["EN", "D"]
    assert parts[-1].stop_sequence is None


@pytest.mark.clause("TOOL-7")
async def test_one_call_ends_the_answer_if_parallel_calls_are_off() -> None:
    script = Line(f"I add.\n{CALL}\n{CALL}\nDone.", chunk=1)
    parts = await generate(script, ask(tool_policy=ToolPolicy(parallel=False)))
    assert parts == [PREFILL, TextPart("I add."), *call_parts(), ending(StopReason.TOOL_USE, 10)]


@pytest.mark.clause("TOOL-7")
async def test_parallel_calls_in_one_chunk_are_cut_to_one() -> None:
    parts = await generate(Line(f"{CALL}\n{CALL}", chunk=0), ask(tool_policy=ToolPolicy(parallel=False)))
    assert parts[:-1] == [PREFILL, *call_parts()]
    assert parts[-1].reason is StopReason.TOOL_USE


@pytest.mark.clause("TOOL-9", "STOP-3")
async def test_call_markup_is_text_if_no_call_is_allowed() -> None:
    parts = await generate(CALL, ask(tool_policy=ToolPolicy(ToolChoice.NONE)))
    assert parts == [PREFILL, TextPart(CALL), ending(StopReason.END_TURN, 9)]


@pytest.mark.clause("TOOL-17", "STOP-3", "TOOL-10")
@pytest.mark.parametrize("tools", [[], [Tool("other", "", {"type": "object"})]], ids=["none", "another"])
async def test_a_call_of_a_tool_that_was_not_offered_is_text(tools: list[Tool]) -> None:
    parts = await generate(CALL, ask(tools=tools))
    assert [part for part in parts if isinstance(part, CallStart)] == []
    assert parts[-1].reason is StopReason.END_TURN


@pytest.mark.clause("SSE-20", "STOP-2")
@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 5, 7, 11, 50])
async def test_the_parts_are_the_same_for_chunks_of_any_size(chunk: int) -> None:
    output = f"{THOUGHT}I ENadd 🦊.\n{CALL}\n{CALL}\n"
    parts = await generate(Line(output, chunk=chunk), ask(stop_sequences=["END"]))
    counts = parts[-1].counts
    assert parts == [
        PREFILL,
        ThinkingPart("I add them up."),
        ThinkingEnd(sign("I add them up.", shown=True)),
        TextPart("I ENadd 🦊."),
        *call_parts(),
        *call_parts(2),
        ending(StopReason.TOOL_USE, 28, thinking=counts.thinking),
    ]


async def record(generated: Generation, recorded: list[tuple[Part, TokenCounts]]) -> None:
    """Record each part with the token counts at that time, up to a failure."""
    async for part in generated.run():
        recorded.append((part, generated.counts))  # noqa: PERF401 -- a comprehension would lose them to a failure


class Replay(ScriptedEngine):
    """Yields exactly the given chunks, and records the request and whether its generator was closed."""

    def __init__(self, *chunks: OutputChunk) -> None:
        super().__init__([])
        self._pieces = chunks
        self.request: EngineRequest | None = None
        self.chunks_sent = 0
        self.closed = False

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.request = request
        try:
            for chunk in self._pieces:
                self.chunks_sent += 1
                yield chunk
        finally:
            self.closed = True


@pytest.mark.clause("STOP-7", "SSE-17", "SSE-18")
async def test_a_failure_of_the_engine_is_raised_after_the_parts_before_it() -> None:
    generated = await generation(Line("Hello there.", finish_reason="error"), ask())
    recorded: list[tuple[Part, TokenCounts]] = []
    with pytest.raises(EngineFailed):
        await record(generated, recorded)
    assert merge([part for part, _ in recorded]) == [PREFILL, TextPart("Hello there.")]
    assert generated.counts == TokenCounts(5, 0, 2, 0)


@pytest.mark.clause("STOP-7", "SSE-18")
async def test_a_stream_without_a_finish_is_a_failure() -> None:
    generated = await generation(Replay(OutputChunk("Hi", 1)), ask())
    with pytest.raises(EngineFailed):
        _ = [part async for part in generated.run()]


@pytest.mark.clause("TRN-18")
async def test_closing_a_generation_closes_the_engines_generator() -> None:
    engine = Replay(OutputChunk("Hello", 1), OutputChunk(" there", 1), OutputChunk("!", 1))
    parts = (await generation(engine, ask())).run()
    assert await anext(parts) == TextPart("Hello")
    assert not engine.closed
    await parts.aclose()
    assert (engine.closed, engine.chunks_sent) == (True, 1)


@pytest.mark.clause("SEQ-1", "TOOL-7", "TRN-18")
@pytest.mark.parametrize(
    ("text", "policies"),
    [("one END two", {"stop_sequences": ["END"]}), (CALL, {"tool_policy": ToolPolicy(parallel=False)})],
    ids=["a stop sequence", "one call"],
)
async def test_a_complete_generation_closes_the_engines_generator(text: str, policies: dict[str, Any]) -> None:
    engine = Replay(OutputChunk(text, 3), OutputChunk(" more", 1), OutputChunk(" and more", 1))
    _ = [part async for part in (await generation(engine, ask(**policies))).run()]
    assert (engine.closed, engine.chunks_sent) == (True, 1)


@pytest.mark.clause("REQ-2", "REQ-4", "USE-1")
@pytest.mark.parametrize(("max_tokens", "remaining", "limit"), [(10, 100, 10), (100, 10, 10), (10, 10, 10), (0, 10, 0)])
async def test_the_engine_request_has_the_limit_that_fits(max_tokens: int, remaining: int, limit: int) -> None:
    engine = Replay()
    conversation = ask(max_tokens=max_tokens)
    generated = await generation(engine, conversation, remaining=remaining)
    with pytest.raises(EngineFailed):
        _ = [part async for part in generated.run()]
    constraint = dialects.Constrainer(QWEN3).constraint(conversation, thinking_open=False)
    assert engine.request.tokens == await engine.tokenize("a prompt of five words")
    assert (engine.request.limit, engine.request.sampling) == (limit, conversation.sampling)
    assert constraint is not None
    assert engine.request.constraint is not None
    assert engine.request.constraint.key == constraint.key


@pytest.mark.clause("USE-1", "USE-4", "USE-5", "SSE-5", "SSE-15")
async def test_counts_follow_the_reports_of_the_engine() -> None:
    engine = Replay(
        OutputChunk(prefill=PrefillProgress(total=5, cached=3, done=3)),
        OutputChunk(prefill=PrefillProgress(total=5, cached=3, done=5)),
        OutputChunk("<think>", 2),
        OutputChunk("Hm", 1),
        OutputChunk("", 1),
        OutputChunk("</think>", 3),
        OutputChunk("Hi", 1),
    )
    generated = await generation(engine, ask())
    recorded: list[tuple[Part, TokenCounts]] = []
    assert generated.counts == TokenCounts(5, 0, 0, 0)
    with pytest.raises(EngineFailed):
        await record(generated, recorded)
    assert [counts for part, counts in recorded if not isinstance(part, ThinkingEnd)] == [
        TokenCounts(5, 3, 0, 0),
        TokenCounts(5, 3, 0, 0),
        TokenCounts(5, 3, 3, 1),
        TokenCounts(5, 3, 8, 5),
    ]


@pytest.mark.clause("TOOL-8")
async def test_call_ids_are_unique_across_generations() -> None:
    identifiers: list[str] = []
    for _ in range(20):
        generated = await generation(f"{CALL}\n{CALL}", ask())
        identifiers += [part.id async for part in generated.run() if isinstance(part, CallStart)]
    assert len(set(identifiers)) == 40


async def test_repairs_are_reported_by_name() -> None:
    generated = await generation("<tool_call>{'name': 'add', 'arguments': {}}</tool_call>", ask())
    assert merge([part async for part in generated.run()])[1:-1] == [CallStart("add", "#1"), CallDelta("{}"), CallEnd()]
    assert set(generated.repairs) == {"quotes"}


@pytest.mark.clause("STOP-3", "TOOL-17")
@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": ',
        '<tool_call>\n{"name": "add", "arguments": {"a": truth}}\n</tool_call>',
    ],
)
async def test_a_call_that_the_model_broke_off_ends_like_a_cut_one(written: str) -> None:
    parts = await generate(written)
    assert parts[-1].reason is StopReason.MAX_TOKENS
    assert [part.complete for part in parts if isinstance(part, CallEnd)] == [False]


class _LateCacheReport(ScriptedEngine):
    """An engine that reports its cached tokens at the end, and what it drafted."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        yield OutputChunk(prefill=PrefillProgress(len(request.tokens), None, 0))
        yield OutputChunk("Yes.", 1)
        yield OutputChunk(finish=Finish(FinishReason.STOP, 3, Drafts(9, 7)))


async def test_a_late_report_of_cached_tokens_is_used_at_the_end() -> None:
    generated = await generation(_LateCacheReport([]), ask())
    counts = [(type(part), generated.counts.cached) async for part in generated.run()]
    assert counts == [(Prefill, 0), (TextPart, 0), (Ending, 3)]
    assert (generated.counts.drafted, generated.counts.accepted) == (9, 7)
