"""The window that `dragoman claude` chooses for a server of its own."""

import struct
from pathlib import Path

import pytest

from dragoman.cli.launch.fit import Fit, fit, free_memory

MIB = 1 << 20
PER_TOKEN = 32 * 8 * (128 + 128) * 2
"""Bytes: an ordinary model of eight thousand million parameters."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A header, and nothing behind it."""
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


def room(tokens: int) -> int:
    """Memory of which half holds the cache of so many tokens."""
    return 2 * tokens * PER_TOKEN + MIB


@pytest.mark.parametrize(
    ("memory", "context", "parallel"),
    [
        (room(300_000), 131_072, 2),
        (room(140_000), 69_632, 2),
        (room(100_000), 99_328, 1),
        (room(20_000), 19_456, 1),
        (0, 4_096, 1),
    ],
)
def test_one_long_conversation_comes_before_two_and_nothing_beyond_memory(
    model: Path, memory: int, context: int, parallel: int
) -> None:
    assert fit(model, memory) == Fit(context, parallel, memory)


def test_weights_leave_less(model: Path) -> None:
    with model.open("ab") as file:
        file.truncate(1000 * MIB)
    assert fit(model, room(20_000) + 1000 * MIB).context == 19_456


def test_this_machine_has_memory() -> None:
    assert free_memory() > 64 * MIB
