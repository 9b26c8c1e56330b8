"""Sampling values that engines refuse, overflow on or misread."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.sampling import bounded
from engines.conftest import GREEDY, collect, text
from vision_model import vision_model

PROMPT = [504, 3575, 282, 4649, 314]
"""The capital of France is"""

EXTREMES = [
    *({"temperature": value} for value in (0, -0.0, 1e-320, 1e-45, 1e-38, 1e-10, 2)),
    *({"temperature": 1.0, "top_p": value} for value in (0, 1e-320, 1e-38, 1)),
    *({"top_k": value} for value in (0, 1, 2**31, 2**32, 2**63, 10**30, 10**4000)),
    *({"seed": value} for value in (-1, -(2**63), 2**32 - 1, 2**32, 2**64, 10**30, 10**4000)),
    *({"min_p": value} for value in (0, 1e-320, 1)),
    *({"repetition_penalty": value} for value in (0.01, 1, 2)),
    {"temperature": 1e-38, "top_p": 1e-320, "top_k": 10**30, "seed": 10**30, "min_p": 1.0, "presence_penalty": 2.0},
    {"temperature": 2.0, "top_p": 0.0, "top_k": 2**63, "seed": -1, "frequency_penalty": -2.0, "presence_penalty": -2.0},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[EmbeddedLlama]:
    """An engine with the tiny model: what is sampled does not matter here."""
    embedded = EmbeddedLlama(vision_model(), context=512, parallel=1, threads=1)
    await embedded.start()
    yield embedded
    await embedded.close()


@pytest.mark.parametrize("tiny", [0.0, -0.0, 1e-320, 1e-45, 1e-38, 1e-7])
def test_values_that_leave_one_token_become_greedy(tiny: float) -> None:
    assert bounded(Sampling(temperature=tiny)) == Sampling(temperature=0.0)
    assert bounded(Sampling(temperature=0.7, top_p=tiny)) == Sampling(temperature=0.0, top_p=1.0)


def test_ordinary_values_are_kept() -> None:
    ordinary = Sampling(0.7, 0.9, 40, 4_294_967_290, -2.0, 2.0, 0.05, 1.1)
    assert bounded(ordinary) == ordinary
    assert bounded(Sampling()) == Sampling()


def test_a_top_k_larger_than_every_vocabulary_means_all_tokens() -> None:
    assert [bounded(Sampling(top_k=top_k)).top_k for top_k in (2**31, 2**63, 10**4000)] == [0, 0, 0]


def test_no_seed_becomes_the_value_for_a_random_one() -> None:
    seeds = [bounded(Sampling(seed=seed)).seed for seed in (-1, 2**32 - 1, -(2**63), 2**64, 10**30)]
    assert all(seed is not None and 0 <= seed < 2**32 - 1 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_the_embedded_engine_accepts_all_extremes(engine: EmbeddedLlama) -> None:
    for extreme in EXTREMES:
        sampling = bounded(Sampling(**extreme))
        async with asyncio.timeout(20):
            assert text(await collect(engine, EngineRequest(PROMPT, 4, sampling))), extreme
    assert engine.restarts == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("extreme", [{"temperature": 1e-38}, {"temperature": 1.0, "top_p": 1e-320}, {"temperature": 1e-45}])
async def test_tiny_values_are_greedy(engine: EmbeddedLlama, extreme: dict[str, float]) -> None:
    greedy = text(await collect(engine, EngineRequest(PROMPT, 6, GREEDY)))
    assert text(await collect(engine, EngineRequest(PROMPT, 6, bounded(Sampling(**extreme))))) == greedy


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 10**30])
async def test_a_seed_makes_answers_repeatable(engine: EmbeddedLlama, seed: int) -> None:
    sampling = bounded(Sampling(temperature=2.0, top_p=1.0, seed=seed))
    assert len({text(await collect(engine, EngineRequest(PROMPT, 12, sampling))) for _ in range(3)}) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bias_forces_and_bans_tokens(engine: EmbeddedLlama) -> None:
    token = (await engine.tokenize("a"))[0]
    forced = Sampling(temperature=0.0, logit_bias={str(token): 100.0})
    assert text(await collect(engine, EngineRequest(PROMPT, 4, forced))) == "aaaa"
    first = (await engine.tokenize(text(await collect(engine, EngineRequest(PROMPT, 1, GREEDY)))))[0]
    banned = Sampling(temperature=0.0, logit_bias={str(first): -100.0})
    assert (await engine.tokenize(text(await collect(engine, EngineRequest(PROMPT, 1, banned)))))[0] != first
