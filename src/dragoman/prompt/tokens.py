"""From text to token ids, each stretch of text once.

A control token (`<|im_start|>`) ends whatever a tokenizer is doing, so a prompt falls into stretches that can be tokenized
one by one with the same result: a control token and the text behind it. The stretches of earlier turns are remembered; a
new turn costs its own length and not the conversation's. Which tokens are such borders is asked of the engine, and the
answer is checked by tokenizing a whole prompt both ways; where the two differ, prompts are tokenized whole.
"""

import re
from array import array
from asyncio import gather
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from dragoman.engines.controls import ControlTokens, Tokenize

_REMEMBERED_TOKENS = 2_000_000

Stretch = tuple[str, str]
"""A piece of a prompt, and the shield's mark where it stands in it: without the mark, the same piece is other text."""


class TokenCache:
    """Tokenizes prompts of one model, remembering stretches, the most recently used 2,000,000 tokens of them."""

    def __init__(self, tokenize: Tokenize, controls: ControlTokens, borders: Sequence[str] = ()) -> None:
        self.controls = controls
        self.borders = borders
        self._tokenize = tokenize
        self._border_ids: frozenset[int] = frozenset()
        self._split = re.compile(f"(?={_any_of(borders)})") if borders else None
        self._known: OrderedDict[Stretch, array[int]] = OrderedDict()
        self._size = 0

    @classmethod
    async def probe(cls, tokenize: Tokenize, controls: ControlTokens, text: str) -> "TokenCache":
        """Find the borders in `text`, a rendered conversation; check that splitting there is exact."""
        cache = cls(tokenize, controls, await controls.among(text))
        cache._border_ids = frozenset((await tokenize("".join(cache.borders))) if cache.borders else ())
        return cache if await cache.encode(text) == await tokenize(text) else cls(tokenize, controls)

    async def encode(self, text: str, mark: str = "") -> list[int]:
        """Token ids of a prompt. `mark` is the shield's, where it covered something."""
        pieces = self._split.split(text) if self._split else [text]
        stretches = [(piece, mark if mark and mark in piece else "") for piece in pieces if piece]
        fresh = await self._tokenized(list(dict.fromkeys(stretch for stretch in stretches if stretch not in self._known)))
        tokens: list[int] = []
        for stretch in stretches:
            ids = fresh.get(stretch) or self._known.get(stretch) or await self._encode(stretch)
            self._remember(stretch, ids)
            tokens.extend(ids)
        return tokens

    async def _tokenized(self, stretches: Sequence[Stretch]) -> dict[Stretch, "array[int]"]:
        """Tokenize stretches: those without a mark all in one, since their ids fall apart at the borders as their texts do."""
        plain = [stretch for stretch in stretches if not stretch[1]]
        marked = [stretch for stretch in stretches if stretch[1]]
        ids = array("I", await self._tokenize("".join(text for text, _ in plain))) if plain else array("I")
        cuts = (
            [position for position, token in enumerate(ids) if token in self._border_ids and position] if len(plain) > 1 else []
        )
        if len(cuts) != max(len(plain) - 1, 0):
            marked, plain, cuts = [*plain, *marked], [], []
        found = dict(zip(plain, (ids[start:end] for start, end in pairwise([0, *cuts, len(ids)])), strict=False))
        return found | dict(zip(marked, await gather(*map(self._encode, marked)), strict=True))

    async def _encode(self, stretch: Stretch) -> "array[int]":
        text, mark = stretch
        if not mark:
            return array("I", await self._tokenize(text))
        ids = array("I")
        controls = await self.controls.among(text)
        for piece in re.split(f"({_any_of(controls)})", text) if controls else [text]:
            ids.extend(await self._tokenize(piece.replace(mark, ""), special=piece in controls) if piece else [])
        return ids

    def _remember(self, stretch: Stretch, ids: "array[int]") -> None:
        if stretch in self._known:
            self._known.move_to_end(stretch)
            return
        self._known[stretch] = ids
        self._size += len(ids)
        while self._size > _REMEMBERED_TOKENS and len(self._known) > 1:
            self._size -= len(self._known.popitem(last=False)[1])


def _any_of(spellings: Sequence[str]) -> str:
    return "|".join(map(re.escape, spellings))
