"""Writes tiny models that do not keep a state for each token: recurrent, hybrid, and with a sliding window."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFWriter

from clients.installed import CACHE, once
from tiny_gguf import HEADS, WIDTH, finish, language_model, ones, transformer_layer, weights

VERSION: Final = 1
"""Of the files; a change of this module that changes them needs another one."""
SLIDING_WINDOW: Final = 128

_INNER, _STATE, _KERNEL, _RANK = 2 * WIDTH, 16, 4, 8
_WINDOWED_LAYERS = 6
"""Of these, llama.cpp gives all but the last a sliding window."""


def other_model(kind: str) -> Path:
    """The path of a model of a kind of `KINDS`."""
    return once(CACHE / f"other-models-{VERSION}", _write) / f"{kind}.gguf"


def _write(folder: Path) -> None:
    for kind, write in KINDS.items():
        write(folder / f"{kind}.gguf")


def _recurrent(path: Path) -> None:
    numbers = np.random.default_rng(1)
    writer = language_model(path, "mamba", 2, numbers)
    writer.add_head_count(0)
    _add_recurrent_sizes(writer)
    for layer in range(2):
        _add_recurrent_layer(writer, f"blk.{layer}", numbers)
    finish(writer)


def _hybrid(path: Path) -> None:
    """One recurrent layer, and one with attention."""
    numbers = np.random.default_rng(2)
    writer = language_model(path, "jamba", 2, numbers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv([0, HEADS])
    _add_recurrent_sizes(writer)
    for layer in ("blk.0", "blk.1"):
        _add_transformer_layer(writer, layer, numbers, attention=layer == "blk.1")
    _add_recurrent_layer(writer, "blk.0", numbers)
    ones(writer, WIDTH, "blk.1.attn_norm.weight")
    ones(writer, _RANK, "blk.0.ssm_dt_norm.weight")
    ones(writer, _STATE, "blk.0.ssm_b_norm.weight", "blk.0.ssm_c_norm.weight")
    finish(writer)


def _windowed(path: Path) -> None:
    numbers = np.random.default_rng(3)
    writer = language_model(path, "gemma3", _WINDOWED_LAYERS, numbers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_sliding_window(SLIDING_WINDOW)
    for layer in (f"blk.{number}" for number in range(_WINDOWED_LAYERS)):
        _add_transformer_layer(writer, layer, numbers, attention=True)
        ones(writer, WIDTH // HEADS, f"{layer}.attn_q_norm.weight", f"{layer}.attn_k_norm.weight")
        ones(writer, WIDTH, f"{layer}.attn_norm.weight", f"{layer}.post_attention_norm.weight", f"{layer}.post_ffw_norm.weight")
    finish(writer)


def _add_recurrent_sizes(writer: GGUFWriter) -> None:
    writer.add_ssm_conv_kernel(_KERNEL)
    writer.add_ssm_inner_size(_INNER)
    writer.add_ssm_state_size(_STATE)
    writer.add_ssm_time_step_rank(_RANK)


def _add_recurrent_layer(writer: GGUFWriter, layer: str, numbers: np.random.Generator) -> None:
    ones(writer, WIDTH, f"{layer}.attn_norm.weight")
    for name, shape in {
        "ssm_in": (2 * _INNER, WIDTH),
        "ssm_conv1d": (_INNER, _KERNEL),
        "ssm_x": (_RANK + 2 * _STATE, _INNER),
        "ssm_dt": (_INNER, _RANK),
        "ssm_out": (WIDTH, _INNER),
    }.items():
        writer.add_tensor(f"{layer}.{name}.weight", weights(numbers, *shape))
    writer.add_tensor(f"{layer}.ssm_conv1d.bias", np.zeros(_INNER, np.float32))
    writer.add_tensor(f"{layer}.ssm_dt.bias", np.full(_INNER, -2, np.float32))  # small steps: it forgets slowly
    writer.add_tensor(f"{layer}.ssm_a", -np.tile(np.arange(1, _STATE + 1, dtype=np.float32), (_INNER, 1)))
    ones(writer, _INNER, f"{layer}.ssm_d")


def _add_transformer_layer(writer: GGUFWriter, layer: str, numbers: np.random.Generator, *, attention: bool) -> None:
    for name, shape in (*transformer_layer(WIDTH, 2 * WIDTH), ("ffn_gate", (2 * WIDTH, WIDTH))):
        if attention or name.startswith("ffn"):
            writer.add_tensor(f"{layer}.{name}.weight", weights(numbers, *shape))
    ones(writer, WIDTH, f"{layer}.ffn_norm.weight")


KINDS: Final[dict[str, Callable[[Path], None]]] = {"recurrent": _recurrent, "hybrid": _hybrid, "windowed": _windowed}
