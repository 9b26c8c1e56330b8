"""A tokenizer small enough to be sure of: special tokens, and for the rest words with the space in front of them."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\s*\w+|\s+|\W")


class WordTokenizer:
    """`calls` is every text it was asked to tokenize, with what was said about spelled special tokens.

    With `begins`, it behaves as SentencePiece does and tokenizes the first word of a text otherwise than the same word later.
    """

    def __init__(self, control: Sequence[str], *, begins: bool = False) -> None:
        self.calls: list[tuple[str, bool]] = []
        self._split = re.compile(f"({'|'.join(map(re.escape, control))})")
        self._control = control
        self._begins = begins
        self._ids: dict[str, int] = {}

    async def __call__(self, text: str, *, special: bool = True) -> list[int]:
        self.calls.append((text, special))
        tokens = []
        for segment in self._split.split(text) if special else [text]:
            control = special and segment in self._control
            tokens += [f"control {segment}"] if control else self._words(segment)
        if self._begins and tokens:
            tokens[0] = f"first {tokens[0]}"
        return [self._ids.setdefault(token, len(self._ids)) for token in tokens]

    @staticmethod
    def _words(text: str) -> list[str]:
        return _WORD.findall(text)

    def spell(self, tokens: Sequence[int]) -> list[str]:
        """What the ids stand for."""
        names = list(self._ids)
        return [names[token] for token in tokens]
