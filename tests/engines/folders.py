"""Makes model folders in the layout of the Hub, with a real tokenizer that is trained on a few words."""

import json
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROLS = ["<|im_start|>", "<|im_end|>"]
IMAGE_TOKENS = ["<image>", "<start_of_image>", "<image_soft_token>", "<end_of_image>"]
"""The special tokens for images of models of several families."""
MARKER = "<tool_call>"
"""A token that is not a control token, and begins a call."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TOKENS = [b"The", b" fox ", b"\xf0", b"\x9f\xa6", b"\x8a", b" is", b" quick", b" and", b" wet", b".\n\n"]
"""A text in tokens, of which three form one character."""
_GENERATED = [*TOKENS, b"one", b" two", b" three", b"ha", b"ab", b"abc", b"abcd", b"Hel", b"lo", b" the", b"re"]
"""Tokens that a model may generate, although the tokenizer makes none of them."""
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 2048}


def model_folder(path: Path, **config: Any) -> Path:
    """Write a model folder; `config` goes into the tokenizer's settings."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [*CONTROLS, *IMAGE_TOKENS]
    trainer = trainers.BpeTrainer(vocab_size=404, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the weather in Ulm is wet", "a tool call, a tool result"], trainer)
    tokenizer = _with_generated(tokenizer)
    tokenizer.add_tokens([AddedToken(MARKER, normalized=False)])
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    settings = {
        "bos_token": "<|im_start|>",
        "eos_token": {"__type": "AddedToken", "content": "<|im_end|>"},
        "chat_template": TEMPLATE,
    }
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return path


def _with_generated(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer with `_GENERATED` in its vocabulary."""
    saved = json.loads(tokenizer.to_str())
    vocabulary = saved["model"]["vocab"]
    missing = [token for token in map(spelled, _GENERATED) if token not in vocabulary]
    vocabulary.update(zip(missing, count(len(vocabulary))))
    return Tokenizer.from_str(json.dumps(saved))


def spelled(token: bytes) -> str:
    """The letters that stand for these bytes in the vocabulary of a byte-level tokenizer."""
    return "".join(map(_letters().__getitem__, token))


@cache
def _letters() -> list[str]:
    """The letter of each byte: itself where it is visible, else one of those after the first 256."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    invisible = iter(range(256, 512))
    return [chr(byte if byte in visible else next(invisible)) for byte in range(256)]
