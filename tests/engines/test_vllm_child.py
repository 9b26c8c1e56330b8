"""vLLM as a child process, with a fake program in its place: start, crashes, termination."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dragoman.engines import OutputChunk
from dragoman.engines.vllm.child import NotInstalled, StartedVllm
from dragoman.errors import EngineFailed
from engines.conftest import collect, make_request, text, until
from engines.folders import model_folder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")]


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The path of a fake `vllm`."""
    path = tmp_path / "vllm"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("fake_vllm.py")}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
async def engine(program: str, tmp_path: Path) -> AsyncGenerator[StartedVllm]:
    started = StartedVllm(str(model_folder(tmp_path / "tiny")), Path, slots=2, program=program)
    yield started
    await started.close()


async def rest(chunks: AsyncGenerator[OutputChunk]) -> None:
    async for _ in chunks:
        pass


async def test_it_is_started_with_lark_grammars(engine: StartedVllm) -> None:
    found = await engine.start()
    assert (found.model, found.window, found.slots, found.found["constraints"]) == ("tiny", 5000, 2, "Lark")
    assert text(await collect(engine, make_request([1], 3))) == " word word word"


async def test_requests_in_flight_fail_and_the_next_waits_for_the_next_child(engine: StartedVllm) -> None:
    await engine.start()
    running = [engine.generate(make_request([1], 4000)) for _ in range(2)]
    for chunks in running:
        while not (await anext(chunks)).text:
            pass
    assert engine.pid is not None
    os.killpg(engine.pid, signal.SIGKILL)
    for chunks in running:
        with pytest.raises(EngineFailed, match="the engine stopped during the request; it is being restarted"):
            await rest(chunks)
    assert text(await collect(engine, make_request([1], 1))) == " word"
    assert engine.restarts == 1


async def test_a_failed_start_raises_the_reason(program: str, tmp_path: Path) -> None:
    engine = StartedVllm(str(tmp_path / "DIES"), Path, program=program)
    with pytest.raises(EngineFailed, match=r"^the engine did not start: RuntimeError: no memory for the weights$"):
        await engine.start()


async def test_closing_ends_all_its_processes(engine: StartedVllm) -> None:
    await engine.start()
    leader = engine.pid
    assert leader is not None
    await engine.close()

    async def gone() -> bool:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        return False

    await until(gone)


def test_a_missing_program_is_reported() -> None:
    with pytest.raises(NotInstalled):
        StartedVllm("model", Path, program="no-such-vllm")
