"""Token ids and log-probabilities of the embedded llama.cpp, and the ids that it does not report."""

import math
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from dragoman.constraints.tree import Constraint, Json
from dragoman.engines import OutputChunk
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.missing_ids import with_all_ids
from dragoman.errors import EngineFailed
from dragoman.parts import LogProb

from .conftest import CHAT, collect, make_request, output, text

pytestmark = pytest.mark.asyncio(loop_scope="module")


ANSWER = Constraint(Json({"const": "4"}), "answer")
"""Ends the answer, which the tiny model would not."""


def ids_of(chunks: Sequence[OutputChunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.ids]


@pytest.mark.clause("TOK-1")
async def test_every_token_has_its_id_the_one_that_ends_the_answer_too(tiny_engine: EmbeddedLlama) -> None:
    request = replace(make_request(await tiny_engine.tokenize(CHAT), 60), ids=True, constraint=ANSWER)
    chunks = await collect(tiny_engine, request)
    ids = ids_of(chunks)
    assert len(ids) == output(chunks)
    assert (await tiny_engine.detokenize(ids)).removeprefix(text(chunks)) in ("<|im_end|>", "<|endoftext|>")


@pytest.mark.clause("TOK-1")
async def test_the_ids_are_those_that_the_engine_has_in_its_cache(tiny_engine: EmbeddedLlama) -> None:
    prompt = await tiny_engine.tokenize("Once upon a time, in a village by the sea, there lived")
    ids = ids_of(await collect(tiny_engine, replace(make_request(prompt, 40), ids=True)))
    again = await collect(tiny_engine, make_request([*prompt, *ids], 1))
    progress = next(chunk.prefill for chunk in again if chunk.prefill is not None)
    assert progress.cached is not None
    assert progress.cached >= len(prompt) + len(ids) - 1


@pytest.mark.clause("TOK-2")
async def test_the_likeliest_token_is_written_with_its_log_probability(tiny_engine: EmbeddedLlama) -> None:
    request = replace(make_request(await tiny_engine.tokenize("The capital of France is"), 8), ids=True, top=3)
    chunks = [chunk for chunk in await collect(tiny_engine, request) if chunk.ids]
    found = [logprob for chunk in chunks for logprob in chunk.logprobs]
    assert len(found) == len(ids_of(chunks))
    assert "".join(each.text for each in found) == text(chunks)
    for each in found:
        assert each.logprob is not None
        assert [len(each.top), each.top[0].data] == [3, each.data]
        assert math.isclose(each.top[0].logprob, each.logprob, abs_tol=1e-3)
        assert each.top[0].logprob >= each.top[1].logprob >= each.top[2].logprob


@pytest.mark.clause("TOK-1")
async def test_the_ids_of_a_character_of_several_tokens_are_found(tiny_engine: EmbeddedLlama) -> None:
    fox = await tiny_engine.tokenize("🦊")
    assert len(fox) > 1
    reported = OutputChunk("🦊", len(fox), ids=fox[-1:], logprobs=[LogProb("🦊", b"", -1.0)])
    whole = await with_all_ids(reported, tiny_engine)
    assert whole.ids == fox
    assert [each.logprob for each in whole.logprobs] == [*[None] * (len(fox) - 1), -1.0]


@pytest.mark.parametrize("change", [{"output": 9}, {"ids": [7]}, {"text": "🐺"}], ids=str)
async def test_ids_that_cannot_be_found_are_a_failure(tiny_engine: EmbeddedLlama, change: dict[str, object]) -> None:
    fox = await tiny_engine.tokenize("🦊")
    reported = replace(OutputChunk("🦊", len(fox), ids=fox[-1:]), **change)
    with pytest.raises(EngineFailed, match="does not report all token ids"):
        await with_all_ids(reported, tiny_engine)
