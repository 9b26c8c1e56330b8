"""The contract of `Engine`: the same scripts and assertions for all engines; listed differences are tested as well."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from dragoman.constraints.tree import Constraint, Json, Literal, Series
from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.liveness import ProbeTimes
from dragoman.errors import EngineFailed, EngineUnavailable
from engines.conftest import collect, output, reason, text, until
from engines.folders import TOKENS
from engines.remote.conftest import Connected
from engines.remote.engine_cases import DIFFERENCES, EngineCase, differs
from engines.remote.fake_engine import FIRST_EVENT, MIDDLE, STATUS
from engines.remote.fake_engines import WINDOW

TEXT = "The fox 🦊 is quick and wet.\n\n"
GREEDY = Sampling(temperature=0, seed=7)
PROMPT = "What is the fox?"


async def make_request(connected: Connected, limit: int = 100, constraint: Constraint | None = None) -> EngineRequest:
    return EngineRequest(await connected.engine.tokenize(PROMPT), limit, GREEDY, constraint)


async def test_text_and_finish_reason(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    chunks = await collect(connected.engine, await make_request(connected))
    assert (text(chunks), reason(chunks)) == (TEXT, FinishReason.STOP)
    assert output(chunks) == (8 if differs(connected.case, "counts tokens") else len(TOKENS) + 1)


async def test_no_chunk_has_half_a_character(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    chunks = await collect(connected.engine, await make_request(connected))
    assert "\ufffd" not in text(chunks)
    assert any("🦊" in chunk.text for chunk in chunks)


@pytest.mark.parametrize("words", [[b"ha"] * 6, [b"\n"] * 6, [b"a", b"ab", b"abc", b"abcd"]], ids=["ha ha", "lines", "growing"])
async def test_repeated_text_is_not_mistaken_for_earlier_text(connected: Connected, words: list[bytes]) -> None:
    connected.upstream.says(*words)
    assert text(await collect(connected.engine, await make_request(connected))) == b"".join(words).decode()


async def test_the_limit_ends_the_generation(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    chunks = await collect(connected.engine, await make_request(connected, limit=2))
    assert (reason(chunks), output(chunks)) == (FinishReason.LENGTH, 2)
    assert TEXT.startswith(text(chunks))
    assert text(chunks).strip()


async def test_a_limit_of_zero_prefills_the_prompt_and_gives_no_text(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, cached=3)
    chunks = await collect(connected.engine, await make_request(connected, limit=0))
    assert (text(chunks), output(chunks), reason(chunks)) == ("", 0, FinishReason.LENGTH)
    assert len(connected.upstream.received) == 1


async def test_cached_tokens_are_reported(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, cached=3)
    request = await make_request(connected)
    chunks = await collect(connected.engine, request)
    early = [chunk.prefill for chunk in chunks if chunk.prefill is not None and chunk.prefill.cached is not None]
    finish = chunks[-1].finish
    assert finish is not None
    if differs(connected.case, "reports cached tokens"):
        assert (early, finish.cached) == ([], None)
    elif differs(connected.case, "reports cached tokens early"):
        assert (early, finish.cached) == ([], 3)
    else:
        assert [(progress.total, progress.cached) for progress in early] == [(len(request.tokens), 3)]
        assert finish.cached is None


async def test_the_prompts_token_ids_arrive_unchanged(connected: Connected) -> None:
    request = await make_request(connected)
    await collect(connected.engine, request)
    assert list(connected.upstream.received[-1].prompt) == list(request.tokens)


async def test_special_tokens_are_distinguished_from_their_spelling(connected: Connected) -> None:
    whole, spelled = [await connected.engine.tokenize("<|im_end|>", special=special) for special in (True, False)]
    assert len(whole) == 1
    assert (spelled == whole) is differs(connected.case, "counts tokens")


async def test_the_context_length_is_the_servers(connected: Connected) -> None:
    assert connected.found.window == WINDOW - differs(connected.case, "uses the whole context")


async def test_the_context_length_can_only_be_lowered(case: EngineCase, running: Any, caplog: pytest.LogCaptureFixture) -> None:
    windows = []
    for asked in (1000, 9000):
        engine = case.connect(running, window=asked)
        windows.append((await engine.start()).window)
        await engine.close()
    its = WINDOW - differs(case, "uses the whole context")
    if differs(case, "can be lowered"):
        assert windows == [its, its]
    elif differs(case, "reports its context length"):
        assert windows == [1000, 9000]
    else:
        assert windows == [1000, its]
        assert f"more than the engine at {running.url} has: {its} are used" in caplog.text


@pytest.mark.parametrize("phase", [STATUS, FIRST_EVENT, MIDDLE], ids=["before the status", "before the first", "in the middle"])
async def test_cancelling_a_task_cancels_the_request_at_once(connected: Connected, phase: int) -> None:
    connected.upstream.says(*TOKENS)
    connected.upstream.hold(phase)
    working = asyncio.create_task(collect(connected.engine, await make_request(connected)))
    await until(lambda: is_holding(connected))
    working.cancel()
    await asyncio.wait({working})
    await until(lambda: has_disconnected(connected))
    connected.upstream.reset()
    connected.upstream.says(b"Again.")
    assert text(await collect(connected.engine, await make_request(connected))) == "Again."


async def test_closing_the_iterator_cancels_the_request_at_once(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    connected.upstream.hold(MIDDLE)
    async with aclosing(connected.engine.generate(await make_request(connected))) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break
        if connected.case.name != "scripted":  # it generates nothing while it is not read
            await until(lambda: is_holding(connected))
    await until(lambda: has_disconnected(connected))


async def is_holding(connected: Connected) -> bool:
    return connected.upstream.holding == 1


async def has_disconnected(connected: Connected) -> bool:
    return connected.upstream.disconnects == 1 and connected.upstream.holding == 0


async def test_a_loading_engine_is_unavailable(connected: Connected) -> None:
    connected.upstream.says(fault="loads")
    with pytest.raises(EngineUnavailable, match=connected.upstream.messages["loads"]):
        await collect(connected.engine, await make_request(connected))


async def test_a_refusal_carries_its_reason(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, fault="refuses")
    if differs(connected.case, "refuses"):
        assert text(await collect(connected.engine, await make_request(connected))) == TEXT
        return
    with pytest.raises(EngineFailed, match=connected.upstream.messages["refuses"]):
        await collect(connected.engine, await make_request(connected))


async def chunks_before_failure(connected: Connected, failure: str) -> list[OutputChunk]:
    """The chunks before a failure in the stream."""
    chunks: list[OutputChunk] = []

    async def read() -> None:
        async for chunk in connected.engine.generate(request):
            chunks.append(chunk)  # noqa: PERF401 -- a comprehension would lose them to the failure

    request = await make_request(connected)
    with pytest.raises(EngineFailed, match=failure):
        await read()
    return chunks


async def test_a_failure_in_the_stream_comes_after_the_text(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, fault="fails midway")
    chunks = await chunks_before_failure(connected, connected.upstream.messages["fails midway"])
    assert TEXT.startswith(text(chunks))
    assert text(chunks)
    assert all(chunk.finish is None for chunk in chunks)


async def test_a_truncated_stream_is_a_failure(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, fault="breaks off")
    if differs(connected.case, "breaks off"):
        assert text(await collect(connected.engine, await make_request(connected))) == TEXT
        return
    chunks = await chunks_before_failure(connected, "closed the connection during the request")
    assert TEXT.startswith(text(chunks))
    assert text(chunks)


async def test_an_engine_that_closes_the_connection_is_unavailable(connected: Connected) -> None:
    connected.upstream.says(*TOKENS, fault="hangs up")
    if differs(connected.case, "hangs up"):
        assert text(await collect(connected.engine, await make_request(connected))) == TEXT
        return
    with pytest.raises(EngineUnavailable, match="closed the connection before it answered"):
        await collect(connected.engine, await make_request(connected))


async def test_a_restarted_engine_is_used_again(connected: Connected) -> None:
    if differs(connected.case, "restarts"):
        assert connected.engine.status == "ready"
        return
    connected.upstream.stop_upstream()
    try:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await collect(connected.engine, await untokenized_request())
    finally:
        connected.upstream.start_upstream()
    connected.upstream.says(*TOKENS)
    assert text(await collect(connected.engine, await make_request(connected))) == TEXT


async def untokenized_request() -> EngineRequest:
    """A request without a call of the tokenizer, which for llama-server needs the server."""
    return EngineRequest([1, 2, 3], 10, GREEDY)


async def test_a_constraint_is_sent_where_the_engine_enforces_any(connected: Connected) -> None:
    held = Constraint(Series((Literal('{"name": "f", "arguments": '), Json({"type": "object"}), Literal("}"))), "a call")
    assert connected.found.constrains is not differs(connected.case, "enforces calls")
    if connected.found.constrains:
        await collect(connected.engine, await make_request(connected, constraint=held))
    sent = connected.upstream.received[-1].constraint if connected.upstream.received else ""
    assert ("arguments" in sent) is not differs(connected.case, "is sent constraints")


async def test_parallel_requests_get_their_own_answers(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    requests = [await make_request(connected) for _ in range(12)]
    answers = await asyncio.gather(*(collect(connected.engine, request) for request in requests))
    assert {text(chunks) for chunks in answers} == {TEXT}


async def test_only_the_last_chunk_has_the_finish(connected: Connected) -> None:
    connected.upstream.says(*TOKENS)
    *before, last = await collect(connected.engine, await make_request(connected))
    assert isinstance(last.finish, Finish)
    assert [chunk for chunk in before if chunk.finish is not None] == []


def test_every_difference_has_a_reason() -> None:
    assert all(DIFFERENCES.values())


WATCH_TIMES = ProbeTimes(interval=0.05, timeout=0.3, misses=2)


async def test_an_unresponsive_engine_is_noticed_and_used_again_when_it_responds(case: EngineCase, running: Any) -> None:
    """It keeps its connections and sends nothing, as a suspended process does."""
    if case.name == "scripted":
        return
    running.reset()
    running.says(*TOKENS)
    engine = case.connect(running, watch_times=WATCH_TIMES)
    await engine.start()
    running.hold(MIDDLE)
    begun = asyncio.create_task(collect(engine, EngineRequest([1, 2, 3], 100, GREEDY)))

    async def holding() -> bool:
        return running.holding == 1

    await until(holding)
    running.freeze()
    try:
        with pytest.raises(EngineFailed, match="closed the connection during the request"):
            await asyncio.wait_for(begun, 5)
        assert engine.status == "unreachable"
        with pytest.raises(EngineUnavailable, match="does not respond"):
            await asyncio.wait_for(collect(engine, EngineRequest([1, 2, 3], 100, GREEDY)), 5)
    finally:
        running.thaw()
    running.reset()
    running.says(*TOKENS)
    assert text(await collect(engine, EngineRequest([1, 2, 3], 100, GREEDY))) == TEXT
    assert engine.status == "ready"
    await engine.close()
