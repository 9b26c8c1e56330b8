"""The memory of the machine, and the estimate of what a model takes, checked against llama.cpp's own process."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.memory import Footprint, free_memory
from dragoman.models.resolve import ModelFile
from vision_model import PROJECTOR, vision_model

from .fake_hub import model as fake_model

MIB = 1 << 20


def test_this_machine_has_memory() -> None:
    assert free_memory().system > 64 * MIB
    assert free_memory(5 * MIB).devices == 5 * MIB


def test_all_parts_and_the_projector_are_counted(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-Q8_0-0000{index}-of-00003.gguf" for index in (1, 2, 3)]
    for part in (*parts, tmp_path / "mmproj.gguf"):
        part.write_bytes(fake_model(part.name))
    footprint = Footprint.of(ModelFile(parts[0], "big", tmp_path / "mmproj.gguf"))
    assert footprint.weights == 4000
    assert footprint.total(1000, 2) == footprint.fixed + 2000 * footprint.cache.per_token


def test_a_draft_model_is_counted(tmp_path: Path) -> None:
    for name in ("big.gguf", "draft.gguf"):
        (tmp_path / name).write_bytes(fake_model(name))
    alone, draft = ModelFile(tmp_path / "big.gguf", "big"), ModelFile(tmp_path / "draft.gguf", "draft")
    both = Footprint.of(replace(alone, draft=draft))
    assert both.weights == Footprint.of(alone).weights + Footprint.of(draft).weights
    assert both.cache.per_token == 2 * Footprint.of(alone).cache.per_token


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("context", "parallel"), [(2_048, 1), (8_192, 4)])
async def test_the_estimate_is_near_what_the_process_takes(context: int, parallel: int) -> None:
    path = vision_model()
    model = ModelFile(path, "tiny", path.with_name(PROJECTOR))
    assert 0.85 < await resident(model, context, parallel) / Footprint.of(model).total(context, parallel) < 1.2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_estimate_is_near_what_the_default_model_takes(model: Path) -> None:
    default = ModelFile(model, "default")
    assert 0.9 < await resident(default, 8_192, 4) / Footprint.of(default).total(8_192, 4) < 1.1


async def resident(model: ModelFile, context: int, parallel: int) -> int:
    """The bytes that the engine's process has in memory when the model is loaded."""
    engine = EmbeddedLlama(model.path, context=context, parallel=parallel, threads=1, projector=model.projector)
    try:
        await engine.start()
        return resident_bytes(engine.pid)
    finally:
        await engine.close()


def resident_bytes(pid: int | None) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
