"""Conversations with models that do not keep a state for each token: they are saved and restored like others.

llama.cpp in the wheel saves its checkpoints of such a state with the rest. What an older one cannot do is in
`llama_program/test_real_program.py`.
"""

from pathlib import Path

import pytest

from dragoman.engines import Engine
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from engines.conftest import collect, long_prompt, make_request, text

from .other_models import KINDS, SLIDING_WINDOW, other_model

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

PROMPT = long_prompt(1500, seed=1)
assert len(PROMPT) > 4 * SLIDING_WINDOW


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conversation_goes_on_as_if_it_had_been_read_again(kind: str, tmp_path: Path) -> None:
    first = engine(kind, tmp_path)
    await first.start()
    _, said = await asked(first, PROMPT)
    answer = await first.tokenize(said)
    await first.close()
    without = engine(kind, None)
    await without.start()
    for turns in ([*PROMPT, *answer, *long_prompt(20, seed=2)], [*PROMPT, *long_prompt(30, seed=3)]):
        restored = engine(kind, tmp_path)
        await restored.start()
        cached, restored_answer = await asked(restored, turns)
        await restored.close()
        assert cached >= 0.95 * len(PROMPT)
        assert restored_answer == (await asked(without, turns))[1]
    await without.close()


def engine(kind: str, folder: Path | None) -> EmbeddedLlama:
    disk = DiskSettings(folder, 1 << 30) if folder else None
    return EmbeddedLlama(other_model(kind), context=4096, parallel=1, threads=1, disk=disk)


async def asked(running: Engine, prompt: list[int]) -> tuple[int, str]:
    """How many tokens of the prompt were cached, and the answer."""
    chunks = await collect(running, make_request(prompt, 8))
    assert chunks[0].prefill is not None
    return chunks[0].prefill.cached or 0, text(chunks)
