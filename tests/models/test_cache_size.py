"""The size of the KV cache by the shape of a model, compared with what llama.cpp allocates."""

import logging
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.cache_size import CacheSize, cache_size
from engines.disk.other_models import SLIDING_WINDOW, other_model

from .test_gguf_header import ARRAY, INT32, STRING, UINT32, gguf, kind, string

BASE = {"block_count": 4, "embedding_length": 64, "attention.head_count": 8}
HEAD = (8 + 8) * 2
"""The bytes of a head, for each token."""
Value = int | list[int]


def number(value: Value) -> bytes:
    if isinstance(value, int):
        return kind(UINT32) + struct.pack("<I", value)
    return kind(ARRAY) + kind(INT32) + struct.pack(f"<Q{len(value)}i", len(value), *value)


def size(folder: Path, shape: Mapping[str, Value], architecture: str = "toy") -> CacheSize | None:
    pairs = [string("general.architecture") + kind(STRING) + string(architecture)]
    pairs += [string(f"{architecture}.{name}") + number(value) for name, value in shape.items()]
    return cache_size(gguf(folder, pairs))


def test_the_size_is_read_from_a_real_file(model: Path) -> None:
    assert cache_size(model) == CacheSize(30 * 3 * (64 + 64) * 2)  # layers, heads, a key and a value, two bytes each


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({}, 4 * 8 * HEAD),
        ({"attention.head_count_kv": 2}, 4 * 2 * HEAD),
        ({"attention.head_count_kv": [0, 2, 1, 0]}, 3 * HEAD),
        ({"attention.key_length": 192, "attention.value_length": 128}, 4 * 8 * 320 * 2),
        (
            {
                "attention.head_count_kv": 1,
                "attention.key_length": 576,
                "attention.value_length": 512,
                "attention.key_length_mla": 192,
            },
            4 * 576 * 2,
        ),
        ({"full_attention_interval": 2}, 2 * 8 * HEAD),
    ],
)
def test_the_size_of_a_token_follows_from_the_shape(tmp_path: Path, shape: Mapping[str, Value], expected: int) -> None:
    assert size(tmp_path, {**BASE, **shape}) == CacheSize(expected)


@pytest.mark.parametrize("shape", [{"block_count": 4}, BASE | {"attention.head_count": 0}, {"attention.head_count": 1}])
def test_a_file_without_the_numbers_has_no_size(tmp_path: Path, shape: Mapping[str, Value]) -> None:
    assert size(tmp_path, shape) is None
    assert cache_size(tmp_path / "missing.gguf") is None


@pytest.mark.parametrize(
    ("architecture", "shape", "windowed"),
    [
        ("gpt-oss", {}, 2),
        ("gemma3", {}, 4),
        ("gemma3", {"attention.sliding_window_pattern": 4}, 3),
        ("gemma4", {"attention.sliding_window_pattern": [1, 1, 1, 0]}, 3),
        ("toy", {}, 0),
    ],
)
def test_layers_with_a_sliding_window_keep_only_that(
    tmp_path: Path, architecture: str, shape: Mapping[str, Value], windowed: int
) -> None:
    found = size(tmp_path, {**BASE, **shape} | {"attention.sliding_window": 128}, architecture)
    assert found == CacheSize((4 - windowed) * 8 * HEAD, windowed * 8 * HEAD * (128 + 512))


def test_only_some_layers_of_a_hybrid_have_attention(tmp_path: Path) -> None:
    assert size(tmp_path, BASE, "qwen35") == CacheSize(8 * HEAD)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hybrid", "windowed"])
async def test_llama_cpp_allocates_as_much(name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = other_model(name)
    engine = EmbeddedLlama(path, context=4_096, parallel=2, threads=1)
    with caplog.at_level(logging.DEBUG):
        try:
            await engine.start()
        finally:
            await engine.close()
    allocated = sum(float(mib) for mib in re.findall(r"KV buffer size = +([\d.]+) MiB", caplog.text))
    found = cache_size(path)
    assert found is not None
    unused = 2 * found.per_slot * (1 - 512 / (SLIDING_WINDOW + 512))  # the window and a step of 256 are rounded up to 512
    assert 2 * (found.per_slot + found.per_token * 4_096) - unused == pytest.approx(allocated * 2**20)
