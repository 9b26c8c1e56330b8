"""Writes a tiny model that sees: a random llama with the default model's tokenizer, and a random image projector.

Its answers are noise, but they depend on every token and pixel, and they are the same each time: so a test can see whether an
image reached the model. The model takes 8 MB and the projector 80 kB, and both load in a fraction of a second. They are
written once, to the test cache.
"""

import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple

import gguf
import numpy as np
from gguf import GGUFWriter

from clients.installed import CACHE, once
from dragoman.conversation import Image
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.supervised import RestartTimes
from tiny_gguf import HEADS, WIDTH, finish, llama, transformer_layer, weights

VERSION: Final = 1
"""Of the files; a change of this module that changes them needs another one."""
LAYERS = 2
IMAGE_SIDE, PATCH, VISION_WIDTH = 64, 8, 32
IMAGE_TOKENS: Final = (IMAGE_SIDE // PATCH) ** 2 // 16
"""Tokens of an image of any size: this kind of projector scales it to a square, and merges 4 by 4 patches."""
PROJECTOR: Final = "mmproj-tiny.gguf"


class Size(NamedTuple):
    """The size of a projector: images are squares of `side` pixels, and it gives embeddings of `language_width`."""

    side: int
    patch: int
    width: int
    inner_width: int
    layers: int
    heads: int
    language_width: int


TINY: Final = Size(IMAGE_SIDE, PATCH, VISION_WIDTH, 2 * VISION_WIDTH, 1, HEADS, WIDTH)
SIGLIP_BASE: Final = Size(side=512, patch=16, width=768, inner_width=3072, layers=12, heads=12, language_width=576)

_BIAS = 0.02


def vision_model() -> Path:
    """The path of the model; the projector is in the same folder."""
    return once(CACHE / f"vision-model-{VERSION}", _write) / "tiny.gguf"


def model_with_beginning() -> Path:
    """The path of a model that differs in one thing: a text begins with a token of its own, which the engine adds."""
    return vision_model().with_name("beginning.gguf")


def real_sized_projector() -> Path:
    """The path of a projector for the default model, as large as that of SmolVLM 256M, which has the same language model."""

    def fill(folder: Path) -> None:
        _write_projector(folder / PROJECTOR, np.random.default_rng(7), SIGLIP_BASE)

    return once(CACHE / f"real-sized-projector-{VERSION}", fill) / PROJECTOR


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
    llama(folder / "tiny.gguf", LAYERS, numbers, add_bos_token=False)
    llama(folder / "beginning.gguf", LAYERS, numbers, add_bos_token=True)
    _write_projector(folder / PROJECTOR, numbers, TINY)


def _write_projector(path: Path, numbers: np.random.Generator, size: Size) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("gemma3")
    writer.add_vision_image_size(size.side)
    writer.add_vision_patch_size(size.patch)
    writer.add_vision_embedding_length(size.width)
    writer.add_vision_feed_forward_length(size.inner_width)
    writer.add_vision_block_count(size.layers)
    writer.add_vision_head_count(size.heads)
    writer.add_vision_projection_dim(size.language_width)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_vision_use_gelu(True)
    writer.add_tensor("v.patch_embd.weight", weights(numbers, size.width, 3, size.patch, size.patch))
    writer.add_tensor("v.patch_embd.bias", _biases(numbers, size.width))
    writer.add_tensor("v.position_embd.weight", weights(numbers, (size.side // size.patch) ** 2, size.width))
    for layer in range(size.layers):
        for name, shape in transformer_layer(size.width, size.inner_width, output="attn_out"):
            writer.add_tensor(f"v.blk.{layer}.{name}.weight", weights(numbers, *shape))
            writer.add_tensor(f"v.blk.{layer}.{name}.bias", _biases(numbers, shape[0]))
    for norm in (*(f"v.blk.{layer}.{name}" for layer in range(size.layers) for name in ("ln1", "ln2")), "v.post_ln"):
        writer.add_tensor(f"{norm}.weight", np.ones(size.width, np.float32))
        writer.add_tensor(f"{norm}.bias", _biases(numbers, size.width))
    writer.add_tensor("mm.input_projection.weight", weights(numbers, size.width, size.language_width))
    writer.add_tensor("mm.soft_emb_norm.weight", np.ones(size.width, np.float32))
    finish(writer)


def _biases(numbers: np.random.Generator, width: int) -> Any:
    return (numbers.standard_normal(width) * _BIAS).astype(np.float32)
