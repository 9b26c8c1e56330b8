"""An engine process that is suspended, killed under load, or only slow."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from conftest import MODEL, body, live_server, user
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.base import Capabilities, Engine, Finish, FinishReason
from dragoman.engines.liveness import Liveness, ProbeTimes
from dragoman.engines.llama.embedded import EmbeddedLlama, EngineStatus
from dragoman.engines.llama.server import LlamaServer
from dragoman.engines.llama.wire import Slot
from dragoman.engines.supervised import Child, RestartTimes, Supervised, spawn
from dragoman.errors import EngineFailed, EngineUnavailable
from engines.conftest import GREEDY, collect, long_prompt, make_request, text, until
from server.http import get, post, wire

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be suspended on this platform")

PROMPT = [504, 3575, 282, 4649, 314]
"""The capital of France is"""
QUICK = ProbeTimes(interval=0.1, timeout=1, misses=3)
FRANTIC = ProbeTimes(interval=0.05, timeout=0.3, misses=2)
AT_ONCE = RestartTimes(first_pause=0.01, longest_pause=0.04, steady=3600)


def stop(engine: Supervised) -> int:
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


async def rest(chunks: AsyncGenerator[OutputChunk]) -> None:
    async for _ in chunks:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["writing", "idle", "reading"])
async def test_a_suspended_engine_is_killed_and_replaced(model: Path, phase: str) -> None:
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=4096, probes=QUICK, restart=AT_ONCE)
    await engine.start()
    running = engine.generate(make_request(long_prompt(3000, seed=1) if phase == "reading" else PROMPT, 3000))
    if phase != "idle":
        while not (await anext(running)).text and phase == "writing":
            pass
    pid = stop(engine)
    if phase != "idle":
        with pytest.raises(EngineFailed, match="is being restarted"):
            await asyncio.wait_for(rest(running), 10)
        assert engine.status == EngineStatus.RESTARTING

    async def replaced() -> bool:
        return engine.restarts == 1

    await until(replaced)
    assert text(await collect(engine, make_request(PROMPT, 2))) == " Paris."
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await engine.close()


@pytest.mark.slow
async def test_an_engine_that_no_longer_computes_is_replaced(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its HTTP thread still answers `/health`; only the request that the computing thread answers gets no reply."""
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=512, compute_probes=FRANTIC, restart=AT_ONCE)
    await engine.start()
    await engine.slots()

    async def hanging(_: LlamaServer) -> list[Slot]:
        await asyncio.Event().wait()
        return []

    with monkeypatch.context() as patched:
        patched.setattr(LlamaServer, "slots", hanging)

        async def replaced() -> bool:
            return engine.status == EngineStatus.RESTARTING

        await until(replaced)
    assert text(await collect(engine, make_request(PROMPT, 2))) == " Paris."
    assert engine.restarts == 1
    await engine.close()


@pytest.mark.slow
async def test_a_slow_engine_is_not_killed(model: Path) -> None:
    """Its only thread prefills a long prompt; the probes are more frequent and shorter than the default."""
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=4096, probes=QUICK, restart=AT_ONCE)
    await engine.start()
    pid = engine.pid
    assert text(await collect(engine, make_request(long_prompt(1500, seed=2), 2)))
    assert (engine.pid, engine.restarts) == (pid, 0)
    await engine.close()


async def test_output_counts_as_an_answered_probe() -> None:
    async def silent() -> None:
        liveness.record_output()
        await asyncio.Event().wait()

    liveness = Liveness(silent, ProbeTimes(interval=0, timeout=0.01, misses=1))
    await liveness.check()
    assert not liveness.lost


async def test_one_answered_probe_resets_the_misses() -> None:
    answers = iter([False, False, True, False, False, False])

    async def probe() -> None:
        if not next(answers):
            raise EngineUnavailable("no")

    liveness = Liveness(probe, ProbeTimes(interval=0, timeout=1, misses=3))
    await liveness.until_lost()
    assert next(answers, None) is None


class Word(Engine):
    """Generates one word for every request."""

    async def start(self) -> Capabilities:
        return Capabilities(model="word", window=100, slots=1)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        yield OutputChunk("word", 1)
        yield OutputChunk(finish=Finish(FinishReason.STOP))

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        return []

    async def close(self) -> None:
        pass


class Sleeper(Child):
    """A process that does nothing; it starts only if `starts`."""

    starts = True

    async def start_engine(self) -> Capabilities:
        if not self.starts:
            raise EngineFailed("no")
        self.engine = Word()
        return await self.engine.start()

    async def probe(self) -> None:
        pass


class Sleepers(Supervised):
    """Records the pause before each child, in multiples of the first one."""

    def __init__(self) -> None:
        super().__init__(max_wait=10, restart=RestartTimes(first_pause=1, longest_pause=8, steady=3600))
        self.starts: list[bool] = []

    async def spawn(self) -> Child:
        child = Sleeper(await spawn(sys.executable, "-c", "import sys; sys.stdin.read()", merge_stderr=True))
        child.starts = self.starts.pop(0) if self.starts else True
        return child


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the supervisor requested; none of them takes any time."""
    made: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "engine supervisor":
            made.append(seconds)
            seconds = 0
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return made


async def die(engine: Sleepers) -> None:
    restarts, pid = engine.restarts, engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        return engine.restarts == restarts + 1

    await until(back)


async def test_the_pause_is_reset_by_a_child_that_answered(pauses: list[float]) -> None:
    engine = Sleepers()
    await engine.start()
    for _ in range(6):
        await collect(engine, EngineRequest([1], 1, GREEDY))
        await die(engine)
    assert pauses == [1] * 6
    await engine.close()


async def test_the_pause_grows_while_children_do_not_start(pauses: list[float]) -> None:
    engine = Sleepers()
    await engine.start()
    engine.starts = [False] * 5
    await die(engine)
    assert pauses == [1, 2, 4, 8, 8, 8]
    await collect(engine, EngineRequest([1], 1, GREEDY))
    await die(engine)
    assert pauses[6:] == [1]
    await engine.close()


async def test_the_pause_grows_while_children_die_before_they_answer(pauses: list[float]) -> None:
    engine = Sleepers()
    await engine.start()
    for _ in range(3):
        await die(engine)
    assert pauses == [1, 2, 4]
    await engine.close()


@pytest.mark.slow
def test_a_suspended_engine_shows_in_health_and_ends_the_stream_with_an_error(model: Path) -> None:
    engine = EmbeddedLlama(
        model, parallel=1, threads=1, context=2048, probes=QUICK, restart=RestartTimes(first_pause=2, steady=3600)
    )
    with live_server(engine, id=MODEL) as url:
        assert get(url, "/health").status == 200
        with wire(url) as client:
            client.send(body(user("Count to 1000."), stream=True, max_tokens=1500))
            client.read_until(b"content_block_delta")
            stop(engine)
            client.read_until(b"event: error")
            assert get(url, "/health").status == 503
        assert post(url, body(max_tokens=2)).status == 200
        assert get(url, "/health").status == 200
