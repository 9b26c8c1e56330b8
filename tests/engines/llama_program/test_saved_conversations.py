"""Conversations that a real llama-server from a wheel saves, an older one than the llama.cpp in the wheel of ours."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from engines.conftest import collect, long_prompt, make_request
from engines.disk.other_models import other_model
from vision_model import vision_model

from .programs import chosen

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(300)]

PROMPT = long_prompt(1200, seed=1)
NEXT = [*PROMPT, *long_prompt(20, seed=2)]


async def cached(folder: Path, prompt: list[int], *, model: Path | None = None, args: Sequence[str] = ()) -> int:
    """How many tokens of the prompt a new server finds in what the ones before have saved; it generates nothing more."""
    disk = DiskSettings(folder, 1 << 30)
    engine = EmbeddedLlama(model or vision_model(), context=4096, parallel=1, threads=1, program=chosen(), args=args, disk=disk)
    found = await engine.start()
    assert "conversations" not in found.found["missing"]
    prefill = (await collect(engine, make_request(prompt, 1)))[0].prefill
    await engine.close()
    assert prefill is not None
    return prefill.cached or 0


def saved_files(folder: Path) -> list[Path]:
    return list(folder.glob("*/*.state"))


def file_modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


async def test_they_survive_a_restart_with_the_same_arguments(tmp_path: Path) -> None:
    other = ["--cache-type-k", "f32"]
    turns = [(PROMPT, []), (NEXT, []), (NEXT, other), (NEXT, other), (NEXT, [])]
    counts = [await cached(tmp_path, prompt, args=args) for prompt, args in turns]
    assert [count >= 0.95 * len(PROMPT) for count in counts] == [False, True, False, True, True]
    assert file_modes(tmp_path) == {0o600}


@pytest.mark.parametrize("kind", ["recurrent", "hybrid"])
async def test_a_recurrent_state_without_checkpoints_is_continued_from_its_end_only(kind: str, tmp_path: Path) -> None:
    model = other_model(kind)
    assert await cached(tmp_path, PROMPT, model=model) == 0
    assert await cached(tmp_path, NEXT, model=model) == len(PROMPT)
    assert await cached(tmp_path, [*NEXT[:-5], 5], model=model) == 0


async def test_saving_ends_if_a_saved_conversation_cannot_be_continued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a sliding window and without checkpoints."""
    model = other_model("windowed")
    assert await cached(tmp_path, PROMPT, model=model) == 0
    saved = saved_files(tmp_path)
    assert len(saved) == 1
    assert await cached(tmp_path, NEXT, model=model) == 0
    assert saved_files(tmp_path) == saved, "the next turn is not saved"
    assert caplog.text.count("prompts are no longer saved: this model reads restored ones again") == 1
