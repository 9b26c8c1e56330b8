"""Conversations that are saved on disk and restored, with llama.cpp and the tiny model."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from dragoman.conversation import Image, ImageSpan, Sampling, Span, TextSpan
from dragoman.conversation.spans import tokens_of
from dragoman.engines import EngineRequest, Routing, supervised
from dragoman.engines.llama import disk_cache
from dragoman.engines.llama.cache_folder import CacheFolder, clear
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.supervised import RestartTimes
from engines.conftest import collect, first_progress, long_prompt, make_request, text, until
from vision_model import BLUE, PROJECTOR, RED, model_with_beginning, vision_model

pytestmark = pytest.mark.asyncio

MAIN, OTHER = long_prompt(1200, seed=1), long_prompt(900, seed=2)
AT_ONCE, NEVER = 0.0, 600.0
ROOM = 1 << 30


@asynccontextmanager
async def running(folder: Path, *, idle: float = NEVER, parallel: int = 1, limit: int = ROOM) -> AsyncIterator[EmbeddedLlama]:
    """An engine with the tiny model that saves to this folder."""
    model = vision_model()
    engine = EmbeddedLlama(
        model,
        context=4096,
        parallel=parallel,
        threads=1,
        projector=model.with_name(PROJECTOR),
        disk=DiskSettings(folder, limit, idle),
        restart=RestartTimes(first_pause=0.01),
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def states(folder: Path) -> list[Path]:
    return list(folder.glob("*/*.state"))


def contents(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*/*")]


async def until_saved(folder: Path, count: int = 1) -> None:
    async def saved() -> bool:
        return len(states(folder)) >= count

    await until(saved)


async def grown(engine: EmbeddedLlama, prompt: list[int], limit: int = 8) -> list[int]:
    """The next turn: the prompt, the answer to it, and more."""
    answer = await engine.tokenize(text(await collect(engine, make_request(prompt, limit))))
    return [*prompt, *answer, *long_prompt(20, seed=9)]


async def test_a_conversation_survives_the_end_of_the_server(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        longer = await grown(engine, MAIN)
        fresh = text(await collect(engine, make_request([*longer, 5], 8)))
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGTERM)  # as a service manager does, which sends it to all processes
    assert len(states(tmp_path)) == 1
    async with running(tmp_path) as engine:
        chunks = await collect(engine, make_request([*longer, 5], 8))
        prefill = chunks[0].prefill
        assert prefill is not None
        assert prefill.cached is not None
        assert prefill.cached >= 0.95 * len(MAIN)
        assert text(chunks) == fresh


@pytest.mark.slow
async def test_nothing_is_restored_for_another_conversation_and_nothing_saved_of_a_short_one(tmp_path: Path) -> None:
    async with running(tmp_path, idle=AT_ONCE) as engine:
        await grown(engine, MAIN)
        await until_saved(tmp_path)
        await grown(engine, long_prompt(100, seed=5))
        assert await first_progress(engine, make_request(OTHER, 1)) == 0
        assert len(states(tmp_path)) == 1


@pytest.mark.slow
async def test_what_was_saved_when_idle_survives_a_kill_of_the_engine(tmp_path: Path) -> None:
    async with running(tmp_path, idle=AT_ONCE) as engine:
        longer = await grown(engine, MAIN)
        await until_saved(tmp_path)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert await first_progress(engine, make_request(longer, 1)) >= 0.95 * len(MAIN)
        assert engine.restarts == 1


@pytest.mark.slow
async def test_a_conversation_whose_slot_is_taken_is_saved_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        longer = await grown(engine, MAIN)
        await grown(engine, OTHER)
        assert len(states(tmp_path)) == 1
        assert await first_progress(engine, make_request(longer, 1)) >= 0.95 * len(MAIN)


@pytest.mark.slow
async def test_what_a_request_of_a_batch_left_is_not_saved(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await collect(engine, replace(make_request(MAIN, 1), routing=Routing(continued=False)))
        await collect(engine, make_request(OTHER, 1))
        assert states(tmp_path) == []
    assert len(states(tmp_path)) == 1  # that of the conversation, at the end


@pytest.mark.slow
async def test_the_next_turn_replaces_the_file_of_the_one_before(tmp_path: Path) -> None:
    async with running(tmp_path, idle=AT_ONCE) as engine:
        longer = await grown(engine, MAIN)
        await until_saved(tmp_path)
        (before,) = states(tmp_path)
        await grown(engine, longer)

        async def replaced() -> bool:
            return not before.exists()

        await until(replaced)
    assert len(states(tmp_path)) == 1


@pytest.mark.slow
async def test_conversations_with_images_are_saved_too(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await collect(engine, await seen(engine, RED))
    async with running(tmp_path) as engine:
        assert await first_progress(engine, await seen(engine, BLUE)) == 0  # too little in common to read the file
        request = await seen(engine, RED, more=" and so it goes")
        assert await first_progress(engine, request) >= 0.95 * (len(request.tokens) - 4)


async def seen(engine: EmbeddedLlama, image: Image, more: str = "") -> EngineRequest:
    """A request with an image and then a long text."""
    texts = ["See", "the mill by the river " * 150 + more]
    first, rest = [await engine.tokenize(part) for part in texts]
    spans: list[Span] = [
        TextSpan(texts[0], first, len(first)),
        ImageSpan(image, await engine.image_length(image)),
        TextSpan(texts[1], rest, len(rest)),
    ]
    return EngineRequest(tokens_of(spans), 4, Sampling(temperature=0), spans=spans)


BREAKAGES: list[Callable[[Path], object]] = [
    lambda path: os.truncate(path, path.stat().st_size // 2),
    lambda path: path.write_bytes(path.read_bytes()[:-4000] + b"\xff\xff\xff\x7f" * 1000),
    lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    lambda path: path.unlink(),
]


@pytest.mark.slow
@pytest.mark.parametrize("breaks", ["before", "while running"])
async def test_broken_files_are_removed_and_their_prompts_are_read(tmp_path: Path, breaks: str) -> None:
    prompts = [long_prompt(700, seed=seed) for seed in range(len(BREAKAGES))]
    async with running(tmp_path) as engine:
        for prompt in prompts:
            await collect(engine, make_request(prompt, 1))
    saved = sorted(states(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    if breaks == "before":
        break_all(saved)
    async with running(tmp_path) as engine:
        if breaks == "while running":
            break_all(saved)
        pid = engine.pid
        assert [await first_progress(engine, make_request(prompt, 1)) for prompt in prompts] == [0] * len(prompts)
        assert engine.pid == pid
    assert not any(path.exists() for path in saved)


def break_all(files: list[Path]) -> None:
    for breakage, path in zip(BREAKAGES, files, strict=True):
        breakage(path)


@pytest.mark.slow
async def test_a_file_that_llama_cpp_refuses_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as engine:
        await collect(engine, make_request(MAIN, 1))
    monkeypatch.setattr(CacheFolder, "check", lambda *_: True)
    async with running(tmp_path) as engine:
        (state,) = states(tmp_path)
        state.write_bytes(b"x" * state.stat().st_size)
        assert await first_progress(engine, make_request(MAIN, 1)) == 0
        assert states(tmp_path) == []


async def test_a_folder_that_cannot_be_made_switches_saving_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    async with running(tmp_path / "file" / "below") as engine:
        assert text(await collect(engine, make_request(OTHER, 2)))
    assert "prompts are not saved on disk" in caplog.text


@pytest.mark.slow
async def test_a_conversation_that_is_too_large_is_not_saved_and_others_stay(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await grown(engine, OTHER)
    (other,) = states(tmp_path)
    async with running(tmp_path, limit=other.stat().st_size + 1) as engine:
        await grown(engine, MAIN)
        await grown(engine, long_prompt(1300, seed=3))
    assert states(tmp_path) == [other]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files for another process")
async def test_a_disk_that_is_full_costs_nothing_but_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import resource  # noqa: PLC0415  # does not exist on all platforms

    async with running(tmp_path) as engine:
        assert engine.pid is not None
        resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        await grown(engine, MAIN)
        await grown(engine, OTHER)
        assert contents(tmp_path) == ["model.json"]
        assert "a prompt of 1200 tokens could not be saved" in caplog.text
        resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert len(states(tmp_path)) == 1


@pytest.mark.slow
async def test_conversations_are_saved_again_after_the_folder_was_cleared(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        longer = await grown(engine, MAIN)
        await grown(engine, OTHER)
        clear(tmp_path)
        prefill = (await collect(engine, make_request([*longer, 5], 1)))[0].prefill
        assert prefill is not None  # it is read again, or the engine has a copy in memory
    assert len(states(tmp_path)) == 2


@pytest.mark.slow
async def test_another_model_file_of_the_same_name_and_another_window_have_other_conversations(tmp_path: Path) -> None:
    path, saved = tmp_path / "tiny.gguf", tmp_path / "saved"
    cached = []
    for weights, context in ((vision_model(), 4096), (model_with_beginning(), 4096), (vision_model(), 2048)):
        shutil.copyfile(weights, path)
        engine = EmbeddedLlama(path, context=context, parallel=1, threads=1, disk=DiskSettings(saved, ROOM))
        await engine.start()
        prefill = (await collect(engine, make_request(MAIN, 1)))[0].prefill
        cached.append(prefill and prefill.cached)
        await engine.close()
    assert cached == [0, 0, 0]
    assert len(states(saved)) == 3


@pytest.mark.slow
async def test_two_servers_use_one_folder_at_the_same_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as engine:
        longer = await grown(engine, MAIN)
    async with running(tmp_path, idle=AT_ONCE) as one, running(tmp_path, idle=AT_ONCE) as other:
        (before,) = states(tmp_path)
        longest = await grown(one, longer)

        async def replaced() -> bool:
            return states(tmp_path) not in ([], [before])

        await until(replaced)
        assert await first_progress(other, make_request(longer, 1)) == 0
        await asyncio.gather(*(grown(engine, prompt) for engine in (one, other) for prompt in (OTHER, longer)))
    assert "broken" not in caplog.text
    assert "could not" not in caplog.text
    async with running(tmp_path) as engine:
        assert await first_progress(engine, make_request([*longest, 5], 1)) >= 0.95 * len(longer)


@pytest.mark.slow
async def test_closing_saves_every_slot_that_is_not_saved_yet(tmp_path: Path) -> None:
    async with running(tmp_path, parallel=4) as engine:
        grew = [await grown(engine, prompt) for prompt in (MAIN, OTHER)]
        await grown(engine, long_prompt(20, seed=5))
        assert states(tmp_path) == []
        await engine.close()
        assert len(states(tmp_path)) == 2
    async with running(tmp_path, parallel=4) as engine:
        for longer, prompt in zip(grew, (MAIN, OTHER), strict=True):
            assert await first_progress(engine, make_request(longer, 1)) >= 0.95 * len(prompt)


@pytest.mark.slow
async def test_closing_does_not_wait_for_an_engine_that_saves_too_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk_cache, "_LONGEST_STOP", 0.2)
    monkeypatch.setattr(supervised, "_GRACE", 0.2)
    async with running(tmp_path) as engine:
        await grown(engine, MAIN)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        async with asyncio.timeout(10):
            await engine.close()
    assert contents(tmp_path) == ["model.json"]
    assert "stopped before all prompts were saved" in caplog.text


@pytest.mark.slow
async def test_requests_beside_each_other_get_their_own_saved_conversations(tmp_path: Path) -> None:
    async with running(tmp_path, parallel=4) as engine:
        first, second = await asyncio.gather(grown(engine, MAIN), grown(engine, OTHER))
    assert len(states(tmp_path)) == 2
    async with running(tmp_path, parallel=4) as engine:
        cached = await asyncio.gather(*(first_progress(engine, make_request(prompt, 1)) for prompt in (first, second)))
    assert cached[0] >= 0.95 * len(MAIN)
    assert cached[1] >= 0.95 * len(OTHER)
