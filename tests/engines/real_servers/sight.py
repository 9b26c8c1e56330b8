"""Settings that make the folder of a model that of one that sees, as the real servers read them. Weights are not needed.

Pixels are scaled to between -1 and 1, and nothing else: so their mean says which colour an image has.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from engines.folders import IMAGE_TOKENS as IMAGE_SPELLINGS

SIDE, PATCH = 64, 16
IMAGE_TOKENS = (SIDE // PATCH) ** 2
LLAVA_IMAGE, *_GEMMA = IMAGE_SPELLINGS
GEMMA_IMAGE = dict(zip(("boi_token", "image_token", "eoi_token"), _GEMMA, strict=True))

_NEUTRAL = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True, "do_rescale": True, "do_resize": True}
_SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
_TEXT = {"max_position_embeddings": 2048, "num_key_value_heads": 2, **_SMALL}


def llava(folder: Path) -> None:
    """LLaVA's settings: an image has sixteen tokens in the place of one."""
    ids = _ids(folder)
    image = ids[LLAVA_IMAGE]
    vision = {"model_type": "clip_vision_model", "image_size": SIDE, "patch_size": PATCH, **_SMALL}
    config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": image,
        "pad_token_id": image,  # LMDeploy puts an image in the place of the padding token
        "vision_feature_select_strategy": "default",
        "text_config": {"model_type": "llama", "vocab_size": len(ids), **_TEXT},
        "vision_config": vision,
    }
    size = {"height": SIDE, "width": SIDE}
    images = {"image_processor_type": "CLIPImageProcessor", "size": size, "do_center_crop": False, **_NEUTRAL}
    _write(folder, config, images, {"processor_class": "LlavaProcessor", "patch_size": PATCH, "image_token": LLAVA_IMAGE})


def gemma(folder: Path) -> None:
    """Gemma 3's settings: an image has sixteen tokens, between two that mark it and with empty lines around them."""
    ids = _ids(folder)
    names = {"boi_token": "boi_token_index", "image_token": "image_token_index", "eoi_token": "eoi_token_index"}
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        **{names[name]: ids[spelling] for name, spelling in GEMMA_IMAGE.items()},
        "mm_tokens_per_image": IMAGE_TOKENS,
        "text_config": {"model_type": "gemma3_text", "vocab_size": len(ids), **_TEXT},
        "vision_config": {"model_type": "siglip_vision_model", "image_size": SIDE, "patch_size": PATCH, **_SMALL},
    }
    images = {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": SIDE, "width": SIDE},
        "image_seq_length": IMAGE_TOKENS,
        **_NEUTRAL,
    }
    _write(folder, config, images, {"processor_class": "Gemma3Processor", "image_seq_length": IMAGE_TOKENS})
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"pad_token": "<|im_end|>", **GEMMA_IMAGE, "extra_special_tokens": GEMMA_IMAGE}
    path.write_text(json.dumps(settings), encoding="utf-8")


def color(pixels: Any) -> Sequence[int]:
    """The mean colour of the scaled pixels of one image: an array of its three channels."""
    return [round((float(channel) + 1) * 127.5) for channel in pixels.reshape(3, -1).mean(axis=1)]


def _ids(folder: Path) -> Mapping[str, int]:
    found: Mapping[str, int] = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    return found


def _write(folder: Path, config: Any, images: Any, processor: Any) -> None:
    for name, settings in (("config", config), ("preprocessor_config", images), ("processor_config", processor)):
        (folder / f"{name}.json").write_text(json.dumps(settings), encoding="utf-8")
