"""Writes tiny random models as GGUF files, with the default model's tokenizer. Their answers are noise, but always the same."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, TokenType

from dragoman.models.resolve import resolve

WIDTH: Final = 64
HEADS: Final = 4
WINDOW: Final = 8_192

_EMBEDDING = 0.1
"""Small beside what the layers add: they are the output matrix, too, and large ones would repeat the last token for ever."""


def language_model(
    path: Path,
    architecture: str,
    layers: int,
    numbers: np.random.Generator,
    control_tokens: Sequence[str] = (),
    **tokenizer: bool,
) -> GGUFWriter:
    """A writer with the tokenizer, what all models have, and the matrices that belong to no layer.

    `control_tokens` are added to those of the default model; `tokenizer` has settings that differ from its tokenizer's.
    """
    reader = GGUFReader(resolve(None).path)
    writer = GGUFWriter(path, architecture)
    changed = {f"tokenizer.ggml.{name}": value for name, value in tokenizer.items()}
    for name, value in changed.items():
        writer.add_bool(name, value)
    added = {
        "tokenizer.ggml.tokens": control_tokens,
        "tokenizer.ggml.token_type": [TokenType.CONTROL] * len(control_tokens),
    }
    for name, field in reader.fields.items():
        if name.startswith("tokenizer.") and name not in changed:
            kind = field.types[0]
            contents = [*field.contents(), *added.get(name, ())] if kind is GGUFValueType.ARRAY else field.contents()
            writer.add_key_value(name, contents, kind, field.types[-1] if kind is GGUFValueType.ARRAY else None)
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].data) + len(control_tokens)
    writer.add_name(path.stem)
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tensor("token_embd.weight", (numbers.standard_normal((vocabulary, WIDTH)) * _EMBEDDING).astype(np.float16))
    ones(writer, WIDTH, "output_norm.weight")
    return writer


def llama(path: Path, layers: int, numbers: np.random.Generator, control_tokens: Sequence[str] = (), **tokenizer: bool) -> None:
    """Write a llama; the arguments are those of `language_model`."""
    writer = language_model(path, "llama", layers, numbers, control_tokens, **tokenizer)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    for layer in range(layers):
        for name, shape in transformer_layer(WIDTH, 2 * WIDTH):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(numbers, *shape))
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", weights(numbers, 2 * WIDTH, WIDTH))
        ones(writer, WIDTH, f"blk.{layer}.attn_norm.weight", f"blk.{layer}.ffn_norm.weight")
    finish(writer)


def transformer_layer(width: int, inner: int, output: str = "attn_output") -> Iterator[tuple[str, tuple[int, int]]]:
    """The matrices of a transformer layer, with their shapes; `inner` is the width in its feed-forward part."""
    for name in ("attn_q", "attn_k", "attn_v", output):
        yield name, (width, width)
    yield "ffn_up", (inner, width)
    yield "ffn_down", (width, inner)


def weights(numbers: np.random.Generator, *shape: int) -> Any:
    """A matrix that leaves the size of what it is multiplied with about as it is."""
    return (numbers.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def ones(writer: GGUFWriter, width: int, *names: str) -> None:
    """Add vectors of ones, which most norms are."""
    for name in names:
        writer.add_tensor(name, np.ones(width, np.float32))


def finish(writer: GGUFWriter) -> None:
    """Write the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
