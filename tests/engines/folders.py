"""Makes model folders in the layout of the Hub, with a real tokenizer that is trained on a few words."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROLS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def model_folder(path: Path, **config: Any) -> Path:
    """Write a model folder; `config` goes into the tokenizer's settings."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=CONTROLS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the weather in Ulm is wet", "a tool call, a tool result"], trainer)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    settings = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "chat_template": TEMPLATE, **config}
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (path / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}), encoding="utf-8")
    return path
