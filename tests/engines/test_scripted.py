"""The scripted engine: which line is replayed, in which chunks, and how it ends."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Sampling
from dragoman.engines import Capabilities, EngineKind, EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.scripted import BadScript, Line, ScriptedEngine, read_script
from dragoman.errors import EngineFailed

STOPPED, CUT = OutputChunk(finish=Finish(FinishReason.STOP)), OutputChunk(finish=Finish(FinishReason.LENGTH))


async def generated(engine: ScriptedEngine, prompt: str = "Hi", limit: int = 1000) -> str:
    tokens = await engine.tokenize(prompt)
    return "".join([part.text async for part in engine.generate(EngineRequest(tokens, limit, Sampling()))])


async def output_chunks(line: Line, limit: int = 1000) -> list[OutputChunk]:
    """All chunks except the one for the prefill."""
    engine = ScriptedEngine([line])
    tokens = await engine.tokenize("two words")
    first, *rest = [part async for part in engine.generate(EngineRequest(tokens, limit, Sampling()))]
    assert first == OutputChunk(prefill=PrefillProgress(total=2, cached=0, done=2))
    return rest


async def test_lines_without_a_condition_are_replayed_in_order_and_again() -> None:
    engine = ScriptedEngine([Line("one"), Line("two"), Line("never", when="xyzzy")])
    assert [await generated(engine) for _ in range(5)] == ["one", "two", "one", "two", "one"]


async def test_the_first_line_whose_condition_matches_is_replayed_every_time() -> None:
    engine = ScriptedEngine(
        [Line("plain"), Line("weather", when="rain"), Line("later", when="rain in"), Line("spain", when="Spain")]
    )
    prompts = ["the rain in Spain", "Spain", "the rain", "nothing", "Spain"]
    assert [await generated(engine, prompt) for prompt in prompts] == ["weather", "spain", "weather", "plain", "spain"]


@pytest.mark.parametrize(("distance", "found"), [(1996, True), (1997, False)])
async def test_a_condition_is_matched_in_the_last_two_thousand_characters(distance: int, found: bool) -> None:
    engine = ScriptedEngine([Line("plain"), Line("found", when="HERE")])
    words = " ".join(["x"] * distance)[-distance:]
    assert len(words) == distance
    assert await generated(engine, f"first HERE{words}") == ("found" if found else "plain")


async def test_a_condition_may_span_words_and_lines() -> None:
    engine = ScriptedEngine([Line("plain"), Line("found", when="a  b\n\tc")])
    assert await generated(engine, "x a  b\n\tc y") == "found"


async def test_a_prompt_without_a_matching_line_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="no line for this prompt"):
        await generated(ScriptedEngine([Line("x", when="xyzzy")]))


@pytest.mark.parametrize(
    ("chunk", "texts"),
    [(0, ["one two three"]), (1, list("one two three")), (4, ["one ", "two ", "thre", "e"]), (5, ["one t", "wo th", "ree"])],
)
async def test_a_chunk_has_the_lines_number_of_characters(chunk: int, texts: list[str]) -> None:
    *parts, last = await output_chunks(Line("one two three", chunk=chunk))
    assert [part.text for part in parts] == texts
    assert sum(part.output for part in parts) == 3
    assert last == STOPPED


async def test_a_token_is_a_word_and_is_counted_at_its_beginning() -> None:
    assert await output_chunks(Line("one two", chunk=2)) == [
        OutputChunk("on", 1),
        OutputChunk("e ", 1),
        OutputChunk("tw", 0),
        OutputChunk("o", 0),
        STOPPED,
    ]


@pytest.mark.clause("REQ-2")
@pytest.mark.parametrize(
    ("limit", "text", "last"),
    [(0, "", CUT), (1, "one", CUT), (2, "one  two", CUT), (3, "one  two\nthree", STOPPED), (4, "one  two\nthree", STOPPED)],
)
@pytest.mark.parametrize("chunk", [0, 1, 3, 100])
async def test_the_limit_cuts_before_a_word(limit: int, text: str, last: OutputChunk, chunk: int) -> None:
    *parts, end = await output_chunks(Line("one  two\nthree", chunk=chunk), limit)
    assert "".join(part.text for part in parts) == text
    assert sum(part.output for part in parts) == min(limit, 3)
    assert end == last


@pytest.mark.clause("REQ-3")
async def test_a_limit_of_zero_ends_with_length() -> None:
    assert await output_chunks(Line(""), 0) == [CUT]


@settings(deadline=None)
@given(st.text(), st.integers(0, 9), st.integers(0, 9))
async def test_any_output_comes_complete_or_cut_with_one_finish_at_the_end(output: str, chunk: int, limit: int) -> None:
    *parts, last = await output_chunks(Line(output, chunk=chunk), limit)
    text = "".join(part.text for part in parts)
    assert output.startswith(text)
    assert (last == STOPPED) <= (text == output)
    assert sum(part.output for part in parts) <= limit
    assert all(part.text and part.finish is None for part in parts)


async def test_a_line_can_end_with_length() -> None:
    assert (await output_chunks(Line("one", finish_reason="length")))[-1] == CUT


async def test_a_line_can_fail_after_its_output() -> None:
    received: list[str] = []

    async def read() -> None:
        async for part in ScriptedEngine([Line("one two", finish_reason="error")]).generate(EngineRequest([], 10, Sampling())):
            received.append(part.text)  # noqa: PERF401 -- a comprehension would lose them to the failure

    with pytest.raises(EngineFailed):
        await read()
    assert "".join(received) == "one two"


async def test_a_delay_comes_before_each_chunk() -> None:
    begin = time.monotonic()
    assert len(await output_chunks(Line("abc", chunk=1, delay_ms=5))) == 4
    assert time.monotonic() - begin >= 0.015


async def test_other_requests_run_between_chunks() -> None:
    engine = ScriptedEngine([Line("a b " * 200, chunk=1)])
    order: list[int] = []

    async def read(number: int) -> None:
        async for _ in engine.generate(EngineRequest([], 1000, Sampling())):
            order.append(number)  # noqa: PERF401 -- the order in time is what counts

    await asyncio.gather(read(1), read(2))
    assert order.index(2) < len(order) / 4


@pytest.mark.clause("CNT-2")
@settings(deadline=None)
@given(st.text(), st.text())
async def test_tokens_are_words_with_constant_ids(one: str, other: str) -> None:
    engine = ScriptedEngine([])
    assert await engine.tokenize(one) == await engine.tokenize(one)
    assert (await engine.tokenize(one) == await engine.tokenize(other)) == (one == other)


async def test_the_engine_has_the_given_capabilities() -> None:
    engine = ScriptedEngine([Line("x")], model="m", window=10, slots=2)
    found = Capabilities(
        model="m",
        window=10,
        slots=2,
        constrains=True,
        token_ids=True,
        logprobs=True,
        prompt_logprobs=True,
        kind=EngineKind.SCRIPTED,
    )
    assert await engine.start() == found
    assert engine.status == "ready"
    await engine.close()
    await engine.close()


def test_a_script_has_a_line_of_json_per_answer(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    full = {"output": "b\u2028", "when": "x", "finish_reason": "length", "chunk": 0, "delay_ms": 1.5}
    script.write_text(f'{{"output": "a"}}\n\n{json.dumps(full, ensure_ascii=False)}\r\n', encoding="utf-8")
    assert read_script(script) == [Line("a"), Line("b\u2028", "x", "length", 0, 1.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the script has no lines"),
        (" \n\n", "the script has no lines"),
        ('{"output": "a"}\n{"output": ', "line 2: Input data was truncated"),
        ('{"output": 5}', "line 1: Expected `str`, got `int` - at `$.output`"),
        ("{}", "line 1: Object missing required field `output`"),
        ('\n\n{"output": "a", "delay": 5}', "line 3: Object contains unknown field `delay`"),
        ('{"output": "a", "chunk": -1}', "line 1: Expected `int` >= 0 - at `$.chunk`"),
        ('{"output": "a", "delay_ms": -1}', "line 1: Expected `float` >= 0.0 - at `$.delay_ms`"),
        ('{"output": "a", "finish_reason": "tired"}', "line 1: Invalid enum value 'tired' - at `$.finish_reason`"),
    ],
    ids=range(9),
)
def test_an_error_in_a_script_names_the_file_and_the_line(tmp_path: Path, content: str, message: str) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(content, encoding="utf-8")
    with pytest.raises(BadScript) as refusal:
        read_script(script)
    assert str(refusal.value).startswith(str(script))
    assert str(refusal.value).endswith(message)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_an_unreadable_script_is_named(tmp_path: Path, content: bytes | None) -> None:
    script = tmp_path / "script.jsonl"
    if content is not None:
        script.write_bytes(content)
    with pytest.raises(BadScript, match=r"script\.jsonl"):
        read_script(script)
