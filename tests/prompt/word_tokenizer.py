"""A simple tokenizer whose tokens are special tokens and words with the space before them."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\s*\w+|\s+|\W")


class WordTokenizer:
    """A tokenizer of words. `calls` are all texts that it tokenized, with the value of `special`.

    With `begins`, it tokenizes the first word of a text differently from the same word later, as SentencePiece does.
    """

    def __init__(self, special_tokens: Sequence[str], *, begins: bool = False) -> None:
        self.calls: list[tuple[str, bool]] = []
        self._split = re.compile(f"({'|'.join(map(re.escape, special_tokens))})")
        self._special_tokens = special_tokens
        self._begins = begins
        self._ids: dict[str, int] = {}

    async def __call__(self, text: str, *, special: bool = True) -> list[int]:
        self.calls.append((text, special))
        tokens = []
        for segment in self._split.split(text) if special else [text]:
            is_special = special and segment in self._special_tokens
            tokens += [f"special {segment}"] if is_special else self._words(segment)
        if self._begins and tokens:
            tokens[0] = f"first {tokens[0]}"
        return [self._ids.setdefault(token, len(self._ids)) for token in tokens]

    @staticmethod
    def _words(text: str) -> list[str]:
        return _WORD.findall(text)

    def spell(self, tokens: Sequence[int]) -> list[str]:
        """The texts of the ids."""
        names = list(self._ids)
        return [names[token] for token in tokens]
