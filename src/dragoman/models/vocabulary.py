"""Compares the vocabularies of a model and its draft model, by llama.cpp's rules, before either is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dragoman.models.gguf_header import metadata

_KEYS: Final = "tokenizer.ggml."
_MOST_ADDED: Final = 128
"""How many tokens one vocabulary may have more: unused ones at the end, for alignment."""
_FIRST: Final = 5
"""The tokens before this one are special ones, whose spelling may differ."""


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The kind of tokenizer, the spellings by id, and the ids of the tokens that it adds at either end."""

    kind: str
    spellings: Sequence[str]
    bos: int | None
    eos: int | None


def vocabulary_difference(model: Path, draft: Path) -> str:
    """Why the draft model's tokens are not those of the model; empty if they are, or if a file does not say. Reads both."""
    ours, theirs = _read(model), _read(draft)
    return _difference(ours, theirs) if ours and theirs else ""


def _read(path: Path) -> _Vocabulary | None:
    found = metadata(path, lambda key: key.startswith(_KEYS))
    if f"{_KEYS}model" not in found or f"{_KEYS}tokens" not in found:
        return None
    bos, eos = (found.get(f"{_KEYS}{end}_token_id") if found.get(f"{_KEYS}add_{end}_token") else None for end in ("bos", "eos"))
    return _Vocabulary(found[f"{_KEYS}model"], found[f"{_KEYS}tokens"], bos, eos)


def _difference(ours: _Vocabulary, theirs: _Vocabulary) -> str:
    if ours.kind != theirs.kind:
        return f"its tokenizer is of the kind {theirs.kind}, not {ours.kind}"
    if abs(len(ours.spellings) - len(theirs.spellings)) > _MOST_ADDED:
        return f"its vocabulary has {len(theirs.spellings):,} tokens, not {len(ours.spellings):,}"
    for name in ("bos", "eos"):
        if getattr(ours, name) != getattr(theirs, name):
            return f"its {name.upper()} token is another one"
    pairs = zip(ours.spellings[_FIRST:], theirs.spellings[_FIRST:], strict=False)
    for number, (our, their) in enumerate(pairs, _FIRST):
        if our != their:
            return f"its token {number} is {their!r}, not {our!r}"
    return ""
