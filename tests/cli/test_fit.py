"""Tests the context window that `dragoman claude` chooses for the server that it starts."""

import struct
from pathlib import Path

import pytest

from dragoman.cli.launch.fit import Fit, fit, free_memory

MIB = 1 << 20
PER_TOKEN = 32 * 8 * (128 + 128) * 2
"""Bytes per token of a usual model with eight billion parameters."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
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
    return path


def memory_for(tokens: int) -> int:
    """Memory in bytes with which the cache has space for `tokens`."""
    return 2 * tokens * PER_TOKEN + MIB


@pytest.mark.parametrize(
    ("memory", "context", "parallel"),
    [
        (memory_for(300_000), 131_072, 2),
        (memory_for(140_000), 69_632, 2),
        (memory_for(100_000), 99_328, 1),
        (memory_for(20_000), 19_456, 1),
        (0, 4_096, 1),
    ],
)
def test_one_long_conversation_has_priority_over_two(model: Path, memory: int, context: int, parallel: int) -> None:
    assert fit(model, memory) == Fit(context, parallel, memory)


def test_weights_reduce_the_window(model: Path) -> None:
    with model.open("ab") as file:
        file.truncate(1000 * MIB)
    assert fit(model, memory_for(20_000) + 1000 * MIB).context == 19_456


def test_the_image_projector_is_a_part_of_the_weights(model: Path, tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    with projector.open("wb") as file:
        file.truncate(1000 * MIB)
    assert fit(model, memory_for(20_000) + 1000 * MIB, projector=projector).context == 19_456


def test_this_machine_has_memory() -> None:
    assert free_memory() > 64 * MIB
