"""What a model's layers are like, by the header of its file."""

import re
from pathlib import Path
from typing import Final

from dragoman.models.gguf_header import metadata

_OTHERS: Final = re.compile(
    r"\.(ssm|wkv|shortconv)\.|\.(expert_count|full_attention_interval|attention\.(sliding_window|recurrent_layers))$"
)
_BLOCKS: Final = ".block_count"


def is_plain(path: Path) -> bool:
    """Whether each layer keeps every token, and each token takes all weights: no recurrent layers, windows or experts.

    Not where the header is not complete.
    """
    found = metadata(path, lambda key: key.endswith(_BLOCKS) or _OTHERS.search(key) is not None)
    return any(key.endswith(_BLOCKS) for key in found) and not any(
        value for key, value in found.items() if not key.endswith(_BLOCKS)
    )
