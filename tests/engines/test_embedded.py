"""The embedded engine with the real server, the default model, and a tiny one where it does not matter what is written."""

import asyncio
import contextlib

import pytest

from dragoman.engines import FinishReason, PrefillProgress
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.errors import EngineFailed
from engines.conftest import (
    CHAT,
    assert_idle,
    busy_slots,
    collect,
    first_progress,
    long_prompt,
    make_request,
    output,
    reason,
    text,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_generates_the_models_text(engine: EmbeddedLlama) -> None:
    tokens = await engine.tokenize("The capital of France is")
    chunks = await collect(engine, make_request(tokens, 6))
    assert text(chunks) == " Paris.\n\nThe United"
    assert (output(chunks), reason(chunks)) == (6, FinishReason.LENGTH)


async def test_the_model_ends_its_answer(engine: EmbeddedLlama) -> None:
    chunks = await collect(engine, make_request(await engine.tokenize(CHAT), 200))
    assert text(chunks) == "The answer is 4."
    assert (output(chunks), reason(chunks)) == (7, FinishReason.STOP)


async def test_special_tokens_are_tokenized_only_on_demand(tiny_engine: EmbeddedLlama) -> None:
    assert await tiny_engine.tokenize("<|im_end|>") == [2]
    assert len(await tiny_engine.tokenize("<|im_end|>", special=False)) > 1
    assert await tiny_engine.tokenize("") == []


@pytest.mark.slow
async def test_characters_of_several_tokens_come_whole_with_their_count(engine: EmbeddedLlama) -> None:
    chunks = await collect(engine, make_request(await engine.tokenize("🙈🙉🙊🙈🙉🙊🙈🙉🙊🙈🙉🙊"), 30))
    assert output(chunks) == 30
    assert "\N{REPLACEMENT CHARACTER}" not in text(chunks)
    assert any(chunk.output > 1 and len(chunk.text) == 1 for chunk in chunks)


async def test_a_limit_of_zero_still_prefills_the_prompt(tiny_engine: EmbeddedLlama) -> None:
    tokens = long_prompt(40, seed=1)
    chunks = await collect(tiny_engine, make_request(tokens, 0))
    assert (text(chunks), output(chunks), reason(chunks)) == ("", 0, FinishReason.LENGTH)
    assert chunks[-2].prefill == PrefillProgress(total=40, cached=0, done=40)
    assert await first_progress(tiny_engine, make_request(tokens, 0)) == 39


async def test_a_repeated_prompt_is_cached(tiny_engine: EmbeddedLlama) -> None:
    tokens = long_prompt(100, seed=2)
    first = await collect(tiny_engine, make_request(tokens, 4))
    again = await collect(tiny_engine, make_request(tokens, 4))
    assert [chunk.prefill.cached for chunk in (first[0], again[0]) if chunk.prefill] == [0, 99]
    assert text(first) == text(again)


async def test_requests_run_in_parallel(tiny_engine: EmbeddedLlama) -> None:
    prompts = [await tiny_engine.tokenize(prompt) for prompt in ("Once upon a time", "The capital of France is", "1 2 3 4")]
    alone = [text(await collect(tiny_engine, make_request(prompt, 12))) for prompt in prompts]
    together = await asyncio.gather(*(collect(tiny_engine, make_request(prompt, 12)) for prompt in prompts))
    assert [text(chunks) for chunks in together] == alone


async def test_a_prompt_longer_than_the_context_is_refused(tiny_engine: EmbeddedLlama) -> None:
    with pytest.raises(EngineFailed, match=r"the engine refused with status 400: request .* exceeds"):
        await collect(tiny_engine, make_request(long_prompt(8200, seed=3), 1))


@pytest.mark.slow
async def test_cancelling_in_prefill_frees_the_slot_and_keeps_the_cache(engine: EmbeddedLlama) -> None:
    tokens = long_prompt(1200, seed=4)
    chunks = engine.generate(make_request(tokens, 1))
    read = 0
    while read == 0:
        chunk = await anext(chunks)
        assert chunk.prefill is not None
        read = chunk.prefill.done
    assert 0 < read < 1200
    waiting = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await assert_idle(engine)
    assert await first_progress(engine, make_request(tokens, 1)) >= read
    await assert_idle(engine)


async def test_cancelling_in_decode_frees_the_slot_and_keeps_the_cache(tiny_engine: EmbeddedLlama) -> None:
    tokens = await tiny_engine.tokenize("Once upon a time there was a little girl who")
    chunks = tiny_engine.generate(make_request(tokens, 4000))
    written = 0
    while written < 5:
        written += (await anext(chunks)).output
    assert await busy_slots(tiny_engine) == 1
    await chunks.aclose()
    await assert_idle(tiny_engine)
    assert await first_progress(tiny_engine, make_request(tokens, 1)) == len(tokens) - 1


async def test_a_request_cancelled_in_the_queue_never_runs(tiny_engine: EmbeddedLlama) -> None:
    prompts = [await tiny_engine.tokenize(prompt) for prompt in ("Once upon a time", "Numbers: 1, 2, 3, 4, 5,")]
    running = [tiny_engine.generate(make_request(prompt, 6000)) for prompt in prompts]
    for chunks in running:
        while not (await anext(chunks)).text:
            pass
    assert await busy_slots(tiny_engine) == 2
    queued = long_prompt(77, seed=5)
    waiting = asyncio.create_task(anext(tiny_engine.generate(make_request(queued, 1))))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    for chunks in running:
        await chunks.aclose()
    await assert_idle(tiny_engine)
    assert len(queued) not in [slot.n_prompt_tokens for slot in await tiny_engine.slots()]
    assert await first_progress(tiny_engine, make_request(queued, 1)) == 0
