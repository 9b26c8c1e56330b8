"""The context window and the number of conversations that are chosen for the memory there is."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from dragoman.models.cache_size import CacheSize
from dragoman.models.fit import COMFORTABLE, Fit, Wanted, Wish, fit_all
from dragoman.models.memory import Footprint, Memory
from dragoman.models.resolve import ModelFile

MIB = 1 << 20
PER_TOKEN = 32 * 8 * (128 + 128) * 2
"""Bytes per token of a usual model with eight billion parameters."""
SERVE, CLAUDE = Wish(), Wish(131_072, (2, 1))


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    """A GGUF file with only a header."""
    shape = {
        "context_length": 200_000,
        "block_count": 32,
        "embedding_length": 4096,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
    }
    pairs = [(f"llama.{name}".encode(), value) for name, value in shape.items()]
    written = b"".join(struct.pack(f"<Q{len(key)}sII", len(key), key, 4, value) for key, value in pairs)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + written)
    return ModelFile(path, "model")


def memory_for(model: ModelFile, tokens: int) -> int:
    """Memory in bytes with which the cache has space for `tokens`."""
    return 2 * tokens * PER_TOKEN + Footprint.of(model).fixed


def fit(model: ModelFile, memory: Memory, wish: Wish) -> Fit:
    """What is chosen for a model that has the memory to itself."""
    return fit_all([Wanted.of(model, wish)], memory)[0]


@pytest.mark.parametrize(
    ("wish", "tokens", "context", "parallel"),
    [
        (CLAUDE, 300_000, 131_072, 2),
        (CLAUDE, 140_000, 69_632, 2),
        (CLAUDE, 100_000, 99_328, 1),
        (CLAUDE, 20_000, 19_456, 1),
        (CLAUDE, 0, 4_096, 1),
        (SERVE, 300_000, 65_536, 4),
        (SERVE, 140_000, 65_536, 2),
        (SERVE, 100_000, 65_536, 1),
        (SERVE, 20_000, 19_456, 1),
    ],
)
def test_one_long_conversation_has_priority_over_several(
    model: ModelFile, wish: Wish, tokens: int, context: int, parallel: int
) -> None:
    chosen = fit(model, Memory(memory_for(model, tokens)), wish)
    assert (chosen.context, chosen.parallel) == (context, parallel)
    assert chosen.memory == Footprint.of(model).fixed + context * parallel * PER_TOKEN


def test_what_the_user_names_is_taken(model: ModelFile) -> None:
    memory = Memory(memory_for(model, 100_000))
    assert fit(model, memory, Wish(parallel=[8])).parallel == 8
    assert fit(model, memory, Wish(parallel=[8])).context == 12_288
    assert fit(model, memory, Wish(context=20_000)) == fit(model, memory, Wish(context=20_000, parallel=[4]))
    assert fit(model, memory, Wish(context=150_000)).context == 150_000


def test_weights_and_the_image_projector_reduce_the_window(model: ModelFile, tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    for path in (model.path, projector):
        with path.open("ab") as file:
            file.truncate(1000 * MIB)
    seeing = replace(model, projector=projector)
    assert Footprint.of(seeing).weights == 2000 * MIB
    assert fit(seeing, Memory(memory_for(seeing, 20_000)), CLAUDE).context == 19_456


def test_a_model_that_fits_on_the_devices_is_fitted_to_them(model: ModelFile) -> None:
    system = memory_for(model, 1_000_000)
    device = Footprint.of(model).total(70_000, 1) + 1024 * MIB
    assert fit(model, Memory(system, device), SERVE) == Fit(65_536, 1, Footprint.of(model).total(65_536, 1))
    assert fit(model, Memory(system, 1000 * MIB), SERVE).parallel == 4


def test_models_that_fit_together_share_the_memory(model: ModelFile) -> None:
    big, small = Wanted.of(model, SERVE), Wanted(SERVE, Footprint(0, CacheSize(1024)), 8_192)
    memory = Memory(memory_for(model, 140_000) + small.footprint.total(8_192, 4) + small.footprint.conversations(8_192, 4))
    assert fit_all([big, small], memory) == [
        Fit(65_536, 2, big.footprint.total(65_536, 2)),  # as if it had the rest to itself
        Fit(8_192, 4, small.footprint.total(8_192, 4)),
    ]


def test_models_that_do_not_fit_together_are_fitted_alone(model: ModelFile) -> None:
    wanted = Wanted.of(model, SERVE)
    needed = memory_for(model, 2 * COMFORTABLE) + Footprint.of(model).fixed
    assert all(each.context >= COMFORTABLE // 1024 * 1024 for each in fit_all([wanted, wanted], Memory(needed)))
    assert fit_all([wanted, wanted], Memory(needed - 4)) == [fit(model, Memory(needed - 4), SERVE)] * 2


def test_what_is_given_for_one_model_leaves_the_rest_to_the_other(model: ModelFile) -> None:
    big = Wanted.of(model, Wish(context=100_000, parallel=[1]))
    small = Wanted(SERVE, Footprint(0, CacheSize(1024)), 65_536)
    left = 2 * 100 * 1024 * 1024
    memory = Memory(big.footprint.fixed + small.footprint.fixed + 2 * 100_000 * PER_TOKEN + left)
    assert fit_all([big, small], memory) == [
        Fit(100_000, 1, big.footprint.total(100_000, 1)),
        Fit(65_536, 1, small.footprint.total(65_536, 1)),
    ]
