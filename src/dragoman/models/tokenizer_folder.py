"""Reads a model's folder in the layout of the Hub: tokenizer, chat template, special tokens.

A remote engine takes token ids, so they are made here, by the library of the tokenizer's file format and from the same file
that the engine reads. `transformers` is not needed for that.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from dragoman.errors import EngineFailed
from dragoman.models.token_bytes import TokenBytes

FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
)
"""The files to download of a model on the Hub. Its weights are not needed."""

_IMAGE_ENCODERS: Final = frozenset({"vision_config", "vision_tower", "mm_vision_tower", "visual", "img_processor"})
"""Names in `config.json` for the settings of an image encoder."""
_LARGE: Final = 4_096
"""Texts of more characters than this are tokenized in a thread: the library releases the interpreter's lock."""


class ModelFolder:
    """A model's folder at `path`. Raises `EngineFailed` where it has no tokenizer, or one that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            source = (path / "tokenizer.json").read_text(encoding="utf-8")
            spelled: dict[str, Any] = json.loads(source)
            self._special = Tokenizer.from_str(source)
            self._plain = Tokenizer.from_str(json.dumps({**spelled, "added_tokens": []}, ensure_ascii=False))
            self._bytes = TokenBytes(spelled)
        except FileNotFoundError:
            raise EngineFailed(f"{path} has no tokenizer.json: name the model's folder with --tokenizer") from None
        except Exception as error:  # the library raises plain `Exception`s
            raise EngineFailed(f"the tokenizer in {path} cannot be read: {error}") from error
        self._config = _object(path / "tokenizer_config.json")
        self._names = _object(path / "special_tokens_map.json") | self._config

    @property
    def chat_template(self) -> str | None:
        """The template's source: from its own file, else from the tokenizer's settings (of several, the default one)."""
        own = self.path / "chat_template.jinja"
        if own.is_file():
            return own.read_text(encoding="utf-8")
        found = self._config.get("chat_template") or _object(self.path / "chat_template.json").get("chat_template")
        if isinstance(found, list):
            named = {entry["name"]: entry["template"] for entry in found}
            found = named.get("default") or next(iter(named.values()), None)
        return found if isinstance(found, str) else None

    @property
    def bos_token(self) -> str:
        """The spelling of the token that begins a text; "" where there is none."""
        return _spelling(self._names.get("bos_token"))

    @property
    def eos_token(self) -> str:
        """The spelling of the token that ends a generation; "" where there is none."""
        return _spelling(self._names.get("eos_token"))

    @property
    def sees(self) -> bool:
        """Whether the model has an encoder of images, by its settings; False where they are not in the folder."""
        config = _object(self.path / "config.json")
        inner = config.get("thinker_config")
        return not _IMAGE_ENCODERS.isdisjoint([*config, *(inner if isinstance(inner, dict) else ())])

    @property
    def window(self) -> int | None:
        """The context length that the model was trained for, in tokens, where its settings have it."""
        config = _object(self.path / "config.json")
        inner = config.get("text_config")
        found = (inner if isinstance(inner, dict) else config).get("max_position_embeddings")
        return found if isinstance(found, int) else None

    @cached_property
    def vocabulary(self) -> int:
        """The number of token ids: the model's where its settings have it, which may be more than the tokenizer uses."""
        config = _object(self.path / "config.json")
        inner = config.get("text_config")
        found = (inner if isinstance(inner, dict) else config).get("vocab_size")
        used = max(self._special.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        return max(found if isinstance(found, int) else 0, used)

    @property
    def recommended(self) -> Mapping[str, Any]:
        """The sampling that the model's makers recommend: the fields of `generation_config.json`, empty where there is none."""
        return _object(self.path / "generation_config.json")

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of a text, with nothing added; with `special`, the spelling of a special token becomes that token."""
        tokenizer = self._special if special else self._plain
        if len(text) > _LARGE:
            return await asyncio.to_thread(_ids, tokenizer, text)
        return _ids(tokenizer, text)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens spelled out."""
        if len(tokens) > _LARGE:
            return await asyncio.to_thread(self._text, tokens)
        return self._text(tokens)

    def token_bytes(self, token: int | str) -> bytes:
        """The bytes of a token, by its id or its spelling in the vocabulary; none where there is no such token."""
        spelled = self._special.id_to_token(token) if isinstance(token, int) else token
        return b"" if spelled is None else self._bytes.of(spelled)

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._special.decode(tokens, skip_special_tokens=False)
        return text


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _object(path: Path) -> dict[str, Any]:
    """A JSON file of settings; empty where there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise EngineFailed(f"{path} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _spelling(token: object) -> str:
    """A token's spelling, which may be inside an object."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else ""
