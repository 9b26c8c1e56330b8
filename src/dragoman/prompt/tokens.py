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
from collections.abc import Awaitable, Sequence
from typing import Protocol

_CANDIDATE = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\]")
_REMEMBERED_TOKENS = 2_000_000


class Tokenize(Protocol):
    """An engine's tokenizer: `special` decides whether a spelled control token becomes one."""

    def __call__(self, text: str, *, special: bool = True) -> Awaitable[list[int]]:
        """Token ids of `text`, nothing added."""


class TokenCache:
    """Tokenizes prompts of one model, remembering stretches, the most recently used 2,000,000 tokens of them."""

    def __init__(self, tokenize: Tokenize, borders: Sequence[str] = ()) -> None:
        self.borders = borders
        self._tokenize = tokenize
        self._split = re.compile(f"(?={'|'.join(map(re.escape, borders))})") if borders else None
        self._known: OrderedDict[str, array[int]] = OrderedDict()
        self._size = 0

    @classmethod
    async def probe(cls, tokenize: Tokenize, text: str, names: Sequence[str]) -> "TokenCache":
        """Find the control tokens in `text`, a rendered conversation, and among `names`; check that splitting is exact."""
        candidates = {name for name in names if name} | set(_CANDIDATE.findall(text))
        borders = [candidate for candidate in sorted(candidates) if await _is_control(tokenize, candidate)]
        cache = cls(tokenize, borders)
        return cache if await cache.encode(text) == await tokenize(text) else cls(tokenize)

    async def encode(self, text: str, mark: str = "") -> list[int]:
        """Token ids of a prompt. `mark` is the shield's, where it covered something."""
        stretches = [stretch for stretch in self._split.split(text) if stretch] if self._split else [text]
        missing = list(dict.fromkeys(stretch for stretch in stretches if stretch not in self._known))
        fresh = dict(zip(missing, await gather(*(self._encode(stretch, mark) for stretch in missing)), strict=True))
        tokens: list[int] = []
        for stretch in stretches:
            ids = fresh.get(stretch) or self._known.get(stretch) or await self._encode(stretch, mark)
            self._remember(stretch, ids)
            tokens.extend(ids)
        return tokens

    async def _encode(self, stretch: str, mark: str) -> "array[int]":
        if not mark or mark not in stretch:
            return array("I", await self._tokenize(stretch))
        border = next((border for border in self.borders if stretch.startswith(border)), "")
        head = await self._tokenize(border) if border else []
        return array("I", head + await self._tokenize(stretch[len(border) :].replace(mark, ""), special=False))

    def _remember(self, stretch: str, ids: "array[int]") -> None:
        if stretch in self._known:
            self._known.move_to_end(stretch)
            return
        self._known[stretch] = ids
        self._size += len(ids)
        while self._size > _REMEMBERED_TOKENS and len(self._known) > 1:
            self._size -= len(self._known.popitem(last=False)[1])


async def _is_control(tokenize: Tokenize, spelled: str) -> bool:
    """One token where spelling counts, something else where it does not."""
    whole, plain = await gather(tokenize(spelled), tokenize(spelled, special=False))
    return len(whole) == 1 and whole != plain
