"""The size of llama.cpp's KV cache, by the shape of the model in the header of its file.

Each layer with attention keeps a key and a value for each of its heads and each token. Layers with a sliding window keep only
that window, whatever the length of the conversation, and recurrent layers a small state, which is not counted here. Which
layers these are is partly in the file, and partly in llama.cpp, by the architecture: such facts are in the two tables.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dragoman.models.gguf_header import metadata

_HALF: Final = 2
"""Bytes of a number in the cache."""
_STEP: Final = 512
"""Tokens of a step, which a sliding window keeps besides: they are read together."""

_WINDOW_PERIODS: Final = {"cohere2": 4, "gemma2": 2, "gemma3": 6, "gpt-oss": 2}
"""Of so many layers, the last has no sliding window."""
_ATTENTION_INTERVALS: Final = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4}
"""Of so many layers, only the last has attention."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Bytes for each token of a conversation, and for each conversation besides."""

    per_token: int
    per_slot: int = 0


def cache_size(path: Path) -> CacheSize | None:
    """The size of the cache of the model in a file, at most; None where the file lacks numbers."""
    found = metadata(path, lambda key: key.startswith("general.architecture") or not key.startswith(("general.", "tokenizer.")))
    architecture = str(found.pop("general.architecture", ""))
    shape = {key.partition(".")[2]: value for key, value in found.items()}
    try:
        layers = _heads(shape, architecture)
        windowed = _windowed(shape, architecture, len(layers))
        per_head, per_windowed_head = (_head_size(shape, suffix) for suffix in ("", "_swa"))
        kept = int(shape.get("attention.sliding_window", 0)) + _STEP
        return CacheSize(
            per_head * sum(heads for heads, window in zip(layers, windowed, strict=True) if not window),
            per_windowed_head * kept * sum(heads for heads, window in zip(layers, windowed, strict=True) if window),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _heads(shape: dict[str, Any], architecture: str) -> list[int]:
    """The heads that each layer keeps; 0 for one without attention."""
    count, heads = int(shape["block_count"]), shape["attention.head_count"]
    kept = shape.get("attention.head_count_kv", heads)
    if isinstance(kept, list):
        return [int(number) for number in kept]
    interval = int(shape.get("full_attention_interval", _ATTENTION_INTERVALS.get(architecture, 1)))
    return [0 if (layer + 1) % interval else int(kept) for layer in range(count)]


def _windowed(shape: dict[str, Any], architecture: str, layers: int) -> list[bool]:
    """Which layers have a sliding window."""
    pattern = shape.get("attention.sliding_window_pattern", _WINDOW_PERIODS.get(architecture, 1))
    if not shape.get("attention.sliding_window"):
        return [False] * layers
    if isinstance(pattern, list):
        return [bool(window) for window in pattern]
    return [layer % int(pattern) < int(pattern) - 1 for layer in range(layers)]


def _head_size(shape: dict[str, Any], suffix: str) -> int:
    """The bytes of a key and a value of one head; a compressed cache, whose sizes of heads are given apart, has no values."""
    heads = shape["attention.head_count"]
    usual = int(shape["embedding_length"]) // int(max(heads) if isinstance(heads, list) else heads)
    key = int(shape.get(f"attention.key_length{suffix}", shape.get("attention.key_length", usual)))
    value = int(shape.get(f"attention.value_length{suffix}", shape.get("attention.value_length", usual)))
    return (key if "attention.key_length_mla" in shape else key + value) * _HALF
