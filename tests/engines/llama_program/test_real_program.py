"""A real llama-server from a wheel, supervised: on the CPU, and on a Vulkan device that Mesa computes in software."""

import asyncio
import os
import select
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dragoman.engines import Engine
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.program import LlamaProgram
from dragoman.engines.supervised import RestartTimes
from dragoman.errors import EngineFailed
from engines.conftest import assert_idle, collect, first_progress, make_request, text
from vision_model import BLUE, IMAGE_TOKENS, PROJECTOR, RED, vision_model

from .programs import SOFTWARE_DEVICE, chosen, need_software_device, real_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROMPT = [504, 3575, 282, 4649, 314]
PARENT = """
import asyncio, sys
from pathlib import Path
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.program import examine

async def main():
    engine = EmbeddedLlama(Path(sys.argv[1]), parallel=1, program=examine(sys.argv[2]))
    await engine.start()
    (server,) = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    print(server, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(params=["socket", "port"])
async def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[EmbeddedLlama]:
    """The tiny model that sees, on the CPU."""
    if request.param == "port":
        monkeypatch.setattr(LlamaProgram, "listens_on_sockets", property(lambda _: False))
    weights = vision_model()
    started = EmbeddedLlama(
        weights,
        parallel=2,
        threads=1,
        projector=weights.with_name(PROJECTOR),
        program=chosen(),
        restart=RestartTimes(first_pause=0.01),
    )
    yield started
    await started.close()


async def wheel_text() -> str:
    """What the llama.cpp in the wheel generates with the same model."""
    wheel = EmbeddedLlama(vision_model(), parallel=1, threads=1)
    await wheel.start()
    try:
        return await generated(wheel)
    finally:
        await wheel.close()


async def generated(engine: Engine) -> str:
    return text(await collect(engine, make_request(PROMPT, 5)))


async def test_it_serves_as_the_one_in_the_wheel(engine: EmbeddedLlama) -> None:
    found = await engine.start()
    assert (found.model, found.window, found.slots, found.images) == ("tiny", 8192, 2, True)
    assert found.found["engine"].startswith(f"{real_program()}, version ")
    assert found.found["computes"].startswith("CPU (")
    assert found.found["computes"].endswith("1 thread")
    assert found.found["speculates"] == "n-grams of the conversation, up to 16 tokens"
    assert found.found["missing"].startswith("patterns, formats and bounds in schemas are checked, not enforced")
    first = await generated(engine)
    assert first == await wheel_text()
    assert await first_progress(engine, make_request(PROMPT, 1)) == len(PROMPT) - 1
    await assert_idle(engine)
    assert await engine.image_length(RED) == await engine.image_length(BLUE) >= IMAGE_TOKENS
    assert engine.pid is not None
    os.killpg(engine.pid, signal.SIGKILL)
    assert await generated(engine) == first
    assert engine.restarts == 1


async def test_its_own_reason_is_raised_where_a_model_does_not_load(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(vision_model().read_bytes()[:5_000_000])
    engine = EmbeddedLlama(broken, program=chosen())
    with pytest.raises(EngineFailed, match=r"cannot load .*broken\.gguf: .*(corrupted|incomplete|failed)"):
        await engine.start()


async def test_an_unknown_argument_is_reported(tmp_path: Path) -> None:
    engine = EmbeddedLlama(vision_model(), program=chosen(), args=["--no-such-option"])
    with pytest.raises(EngineFailed, match="--no-such-option"):
        await engine.start()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not a child, on Linux only")
async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(vision_model()), str(real_program())),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    watch = os.pidfd_open(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [watch], [], [], 10)
    os.close(watch)
    assert ended


async def test_it_computes_on_a_vulkan_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_software_device()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in SOFTWARE_DEVICE.items():
        monkeypatch.setenv(name, value)
    expected = await wheel_text()
    for layers, on_it in ((None, 3), ("1", 1)):
        engine = EmbeddedLlama(
            vision_model(),
            parallel=1,
            threads=1,
            program=chosen(),
            gpu_layers=layers,
            args=["--batch-size", "32", "--ubatch-size", "32"],
        )
        try:
            computes = (await engine.start()).found["computes"]
            assert computes.startswith("Vulkan0 (llvmpipe")
            assert computes.endswith(f"{on_it} of 3 layers on it, 1 thread")
            assert await generated(engine) == expected
        finally:
            await engine.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 -- the rule for async functions forbids the alternative
