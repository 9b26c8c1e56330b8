"""Conversations that are saved on disk and restored, with llama.cpp and the tiny model."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dragoman.conversation import Image, ImageSpan, Sampling, Span, TextSpan
from dragoman.conversation.spans import tokens_of
from dragoman.engines import EngineRequest
from dragoman.engines.llama.cache_folder import CacheFolder
from dragoman.engines.llama.disk_cache import DiskCache, DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.supervised import RestartTimes
from engines.conftest import collect, first_progress, long_prompt, make_request, text, until
from vision_model import BLUE, PROJECTOR, RED, vision_model

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


async def test_a_conversation_whose_slot_is_taken_is_saved_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        longer = await grown(engine, MAIN)
        await grown(engine, OTHER)
        assert len(states(tmp_path)) == 1
        assert await first_progress(engine, make_request(longer, 1)) >= 0.95 * len(MAIN)


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
async def test_nothing_is_saved_of_a_model_that_reads_a_restored_prompt_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> int:
        return 0

    with monkeypatch.context() as trial:
        trial.setattr(DiskCache, "_cached", nothing)  # as with a recurrent state, of which only the end is saved
        trial.setattr(DiskCache, "_act", nothing)
        async with running(tmp_path) as engine:
            await grown(engine, MAIN)
    async with running(tmp_path) as engine:
        await grown(engine, MAIN)
    assert states(tmp_path) == []


@pytest.mark.slow
async def test_nothing_is_saved_where_there_is_no_room(tmp_path: Path) -> None:
    async with running(tmp_path, limit=1000) as engine:
        await grown(engine, MAIN)
        await grown(engine, OTHER)
    assert states(tmp_path) == []


@pytest.mark.slow
async def test_requests_beside_each_other_get_their_own_saved_conversations(tmp_path: Path) -> None:
    async with running(tmp_path, parallel=4) as engine:
        first, second = await asyncio.gather(grown(engine, MAIN), grown(engine, OTHER))
    assert len(states(tmp_path)) == 2
    async with running(tmp_path, parallel=4) as engine:
        cached = await asyncio.gather(*(first_progress(engine, make_request(prompt, 1)) for prompt in (first, second)))
    assert cached[0] >= 0.95 * len(MAIN)
    assert cached[1] >= 0.95 * len(OTHER)
