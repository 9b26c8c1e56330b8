"""Writes a tiny model that sees: a random llama with the default model's tokenizer, and a random image projector.

Its answers are noise, but they depend on every token and pixel, and they are the same each time: so a test can see whether an
image reached the model. The model takes 8 MB and the projector 80 kB, and both load in a fraction of a second. They are
written once, to the test cache.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from clients.installed import CACHE, once
from dragoman.conversation import Image
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.supervised import RestartTimes
from dragoman.models.resolve import resolve

VERSION: Final = 1
"""Of the files; a change of this module that changes them needs another one."""
WIDTH, LAYERS, HEADS, WINDOW = 64, 2, 4, 8_192
IMAGE_SIDE, PATCH, VISION_WIDTH = 64, 8, 32
IMAGE_TOKENS: Final = (IMAGE_SIDE // PATCH) ** 2 // 16
"""Tokens of an image of any size: this kind of projector scales it to a square, and merges 4 by 4 patches."""
PROJECTOR: Final = "mmproj-tiny.gguf"

_BIAS = 0.02
_EMBEDDING = 0.1
"""Small beside what the layers add: they are the output matrix, too, and large ones would repeat the last token for ever."""


def vision_model() -> Path:
    """The path of the model; the projector is in the same folder."""
    return once(CACHE / f"vision-model-{VERSION}", _write) / "tiny.gguf"


def model_with_beginning() -> Path:
    """The path of a model that differs in one thing: a text begins with a token of its own, which the engine adds."""
    return vision_model().with_name("beginning.gguf")


def seeing_engine(model: Path | None = None) -> EmbeddedLlama:
    """An engine that sees, not yet started, with two slots and one thread, because other processes may be busy."""
    weights = model or vision_model()
    times = RestartTimes(first_pause=0.01)
    return EmbeddedLlama(weights, parallel=2, threads=1, projector=weights.with_name(PROJECTOR), restart=times)


def picture(red: int, green: int, blue: int, side: int = 24) -> Image:
    """A PNG file of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes((red, green, blue)) * side) * side)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return Image(data, "image/png", hashlib.sha256(data).hexdigest())


RED, BLUE = picture(255, 0, 0), picture(0, 0, 255)


def _write(folder: Path) -> None:
    numbers = np.random.default_rng(7)
    _write_llama(folder / "tiny.gguf", numbers, adds_beginning=False)
    _write_llama(folder / "beginning.gguf", numbers, adds_beginning=True)
    _write_projector(folder / PROJECTOR, numbers)


def _write_llama(path: Path, numbers: np.random.Generator, *, adds_beginning: bool) -> None:
    reader = GGUFReader(resolve(None).path)
    writer = GGUFWriter(path, "llama")
    tokenizer = {name: field for name, field in reader.fields.items() if name.startswith("tokenizer.")}
    writer.add_add_bos_token(adds_beginning)
    for name, field in tokenizer.items():
        if name == "tokenizer.ggml.add_bos_token":
            continue
        kind = field.types[0]
        writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind is GGUFValueType.ARRAY else None)
    vocabulary = len(tokenizer["tokenizer.ggml.tokens"].data)
    writer.add_name("tiny")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(vocabulary)
    _add(writer, "token_embd.weight", (numbers.standard_normal((vocabulary, WIDTH)) * _EMBEDDING).astype(np.float16))
    _add(writer, "output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for name, shape in _layer(WIDTH, 2 * WIDTH):
            _add(writer, f"blk.{layer}.{name}.weight", _weights(numbers, shape))
        _add(writer, f"blk.{layer}.ffn_gate.weight", _weights(numbers, (2 * WIDTH, WIDTH)))
        for norm in ("attn_norm", "ffn_norm"):
            _add(writer, f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
    _finish(writer)


def _write_projector(path: Path, numbers: np.random.Generator) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("gemma3")
    writer.add_vision_image_size(IMAGE_SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(VISION_WIDTH)
    writer.add_vision_feed_forward_length(2 * VISION_WIDTH)
    writer.add_vision_block_count(1)
    writer.add_vision_head_count(HEADS)
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_vision_use_gelu(True)
    _add(writer, "v.patch_embd.weight", _weights(numbers, (VISION_WIDTH, 3, PATCH, PATCH)))
    _add(writer, "v.patch_embd.bias", _biases(numbers, VISION_WIDTH))
    _add(writer, "v.position_embd.weight", _weights(numbers, ((IMAGE_SIDE // PATCH) ** 2, VISION_WIDTH)))
    for name, shape in _layer(VISION_WIDTH, 2 * VISION_WIDTH, output="attn_out"):
        _add(writer, f"v.blk.0.{name}.weight", _weights(numbers, shape))
        _add(writer, f"v.blk.0.{name}.bias", _biases(numbers, shape[0]))
    for norm in ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln"):
        _add(writer, f"{norm}.weight", np.ones(VISION_WIDTH, np.float32))
        _add(writer, f"{norm}.bias", _biases(numbers, VISION_WIDTH))
    _add(writer, "mm.input_projection.weight", _weights(numbers, (VISION_WIDTH, WIDTH)))
    _add(writer, "mm.soft_emb_norm.weight", np.ones(VISION_WIDTH, np.float32))
    _finish(writer)


def _layer(width: int, hidden: int, output: str = "attn_output") -> Iterator[tuple[str, tuple[int, int]]]:
    """The matrices of a transformer layer, with their shapes."""
    for name in ("attn_q", "attn_k", "attn_v", output):
        yield name, (width, width)
    yield "ffn_up", (hidden, width)
    yield "ffn_down", (width, hidden)


def _weights(numbers: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return (numbers.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def _biases(numbers: np.random.Generator, width: int) -> Any:
    return (numbers.standard_normal(width) * _BIAS).astype(np.float32)


def _add(writer: GGUFWriter, name: str, values: Any) -> None:
    writer.add_tensor(name, values)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
