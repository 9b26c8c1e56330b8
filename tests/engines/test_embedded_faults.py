"""The embedded engine when the child dies, the parent dies, or the file is truncated."""

import asyncio
import logging
import os
import select
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dragoman.constraints.tree import Constraint, Literal, Opening, Text
from dragoman.engines import OutputChunk
from dragoman.engines.llama.embedded import EmbeddedLlama, EngineStatus
from dragoman.errors import EngineFailed, EngineUnavailable
from engines.conftest import collect, long_prompt, make_request, text, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = [504, 3575, 282, 4649, 314]
"""The capital of France is"""

OPENING = Opening(" Paris", (), Constraint(Literal(" CALL"), "after"), Constraint(Text(), "instead"))

PARENT = """
import asyncio, sys
from pathlib import Path
from dragoman.engines.llama.embedded import EmbeddedLlama

async def main():
    engine = EmbeddedLlama(Path(sys.argv[1]), parallel=1, threads=1, context=512)
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The directory for the engines' private directories; a test can set its name."""
    folder = tmp_path / getattr(request, "param", "home")
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def broken(model: Path, tmp_path: Path) -> Path:
    """A truncated model file."""
    path = tmp_path / "broken.gguf"
    with model.open("rb") as file:
        path.write_bytes(file.read(3_000_000))
    return path


def contents(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.slow
async def test_a_child_killed_while_idle_is_replaced(engine: EmbeddedLlama) -> None:
    restarts, pid = engine.restarts, kill(engine)
    assert text(await collect(engine, make_request(PROMPT, 2))) == " Paris."
    assert engine.restarts == restarts + 1
    assert engine.pid not in (None, pid)
    assert engine.status == EngineStatus.READY


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["prefill", "decode"])
async def test_requests_in_flight_fail_and_waiting_ones_run_on_the_next_child(engine: EmbeddedLlama, phase: str) -> None:
    reading, writing = make_request(long_prompt(2000, seed=1), 1), make_request(PROMPT, 4000)
    running = [engine.generate(request) for request in ([reading] if phase == "prefill" else [writing, writing])]
    for chunks in running:
        while not (await anext(chunks)).text and phase == "decode":
            pass
    waiting = asyncio.create_task(collect(engine, make_request(PROMPT, 2)))
    await asyncio.sleep(0)
    kill(engine)
    for chunks in running:
        with pytest.raises(EngineFailed, match=r"^the engine stopped during the request; it is being restarted$"):
            await collect_rest(chunks)
    assert text(await waiting) == " Paris."
    assert await engine.tokenize("The capital of France is") == PROMPT


@pytest.mark.slow
async def test_an_answer_whose_child_dies_between_its_parts_is_not_begun_again(engine: EmbeddedLlama) -> None:
    request = replace(make_request(PROMPT, 40), constraint=Constraint(Text(), "whole", opening=OPENING))
    assert text(await collect(engine, request)) == " Paris CALL"
    chunks = engine.generate(request)
    while (await anext(chunks)).text != OPENING.text:
        pass
    kill(engine)
    with pytest.raises(EngineFailed, match=r"^the engine stopped during the request; it is being restarted$"):
        await collect_rest(chunks)
    assert text(await collect(engine, request)) == " Paris CALL"


async def test_closing_removes_the_process_and_its_files(model: Path, home: Path) -> None:
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=4096)
    await engine.start()
    (private,) = contents(home)
    assert stat.S_IMODE(private.lstat().st_mode) == 0o700
    pid = engine.pid
    assert pid is not None
    chunks = engine.generate(make_request(PROMPT, 4000))
    assert (await anext(chunks)).finish is None
    await engine.close()
    await engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert contents(home) == []
    assert (engine.status, engine.pid) == (EngineStatus.CLOSED, None)
    with pytest.raises(EngineFailed):
        await collect_rest(chunks)
    with pytest.raises(EngineUnavailable, match="is closed"):
        await collect(engine, make_request(PROMPT, 1))


@pytest.mark.slow
async def test_closing_during_a_restart_fails_waiting_requests(model: Path, home: Path) -> None:
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=4096)
    await engine.start()
    kill(engine)

    async def restarting() -> bool:
        return engine.status == EngineStatus.RESTARTING

    await until(restarting)
    assert engine.pid is None
    waiting = asyncio.create_task(engine.tokenize("x"))
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineUnavailable, match="is closed"):
        await waiting
    assert contents(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("home", ["a_name_that_is_too_long_for_the_path_of_a_socket" * 3], indirect=True)
async def test_with_a_socket_path_that_is_too_long_it_listens_on_loopback(model: Path, home: Path) -> None:
    engine = EmbeddedLlama(model, parallel=1, threads=1, context=4096)
    await engine.start()
    assert await engine.tokenize("<|im_end|>") == [2]
    (private,) = contents(home)
    assert contents(private) == []
    await engine.close()


async def test_a_truncated_file_is_refused_with_llama_cpps_reason(broken: Path, home: Path) -> None:
    engine = EmbeddedLlama(broken)
    with pytest.raises(EngineFailed, match=r"cannot load .*broken\.gguf: .*model is corrupted or incomplete"):
        await engine.start()
    assert engine.status == EngineStatus.CLOSED
    assert contents(home) == []


async def test_cancelling_the_start_removes_all_files(model: Path, home: Path) -> None:
    engine = EmbeddedLlama(model)
    loading = asyncio.create_task(engine.start())

    async def has_begun() -> bool:
        return bool(contents(home))

    await until(has_begun)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert contents(home) == []
    assert engine.status == EngineStatus.CLOSED


async def test_a_context_longer_than_the_trained_one_is_reduced_with_a_warning(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert EmbeddedLlama(model, context=100_000).context == 8192
    assert (
        "a context of 100000 tokens is more than SmolLM2-135M-Instruct.Q4_1.gguf was trained for: 8192 are used" in caplog.text
    )
    assert EmbeddedLlama(model, context=1024).context == 1024
    assert EmbeddedLlama(model).context == 8192


@pytest.mark.parametrize("moment", ["serving", pytest.param("loading", marks=pytest.mark.slow)])
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not a child, on Linux only")
async def test_the_child_ends_with_its_parent(model: Path, home: Path, moment: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(model)), stdout=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": str(home)}
    )
    assert parent.stdout is not None
    if moment == "serving":
        child = int(await parent.stdout.readline())
    else:
        child = await loading_child(parent.pid)
    watch = os.pidfd_open(child)
    parent.kill()
    await parent.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [watch], [], [], 10)
    os.close(watch)
    assert ended


async def collect_rest(chunks: AsyncIterator[OutputChunk]) -> None:
    async for _ in chunks:
        pass


def kill(engine: EmbeddedLlama) -> int:
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def loading_child(parent: int) -> int:
    """The child's process id, once it has mapped llama.cpp's library."""

    def mapped() -> int | None:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return next((int(child) for child in children if "xllamacpp" in Path(f"/proc/{child}/maps").read_text()), None)

    async def is_mapped() -> bool:
        return mapped() is not None

    await until(is_mapped)
    child = mapped()
    assert child is not None
    return child
