"""From text to token ids, each segment of text once.

A special token (`<|im_start|>`) ends whatever a tokenizer is doing, so a prompt falls into segments that can be tokenized
one by one with the same result: a special token and the text after it. The segments of earlier turns are remembered; a
new turn costs its own length and not the conversation's. Which tokens are such borders is asked of the engine, and the
answer is checked by tokenizing a whole prompt both ways; where the two differ, prompts are tokenized whole.

Large texts go to the tokenizer in batches (`segments`), between which other requests get their turn.
"""

import asyncio
import re
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from dragoman.prompt.segments import Batch, Segment, Splitter, any_of
from dragoman.special_tokens import SpecialTokens, Tokenize

_REMEMBERED_TOKENS = 2_000_000
_REMEMBERED_STRETCHES = 100_000
_AT_ONCE = 4
"""Calls of the tokenizer that one text has open at the same time."""
_ESTIMATED_FROM = 1_000_000
"""Characters of a text that must be left, so that their number of tokens is estimated."""

OutputChunk = tuple[str, bool]
"""A text for the tokenizer, and whether special tokens are read in it."""
Question = TypeVar("Question", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The token ids of a text and their number.

    Where `length` is larger than the `most` that was asked for, it may be an estimate, and `tokens` only the first of them.
    """

    tokens: Sequence[int]
    length: int


class TokenCache:
    """Tokenizes prompts of one model, remembering segments, the most recently used 2,000,000 tokens of them."""

    def __init__(self, tokenize: Tokenize, special_tokens: SpecialTokens, borders: Sequence[str] = ()) -> None:
        self.special_tokens = special_tokens
        self.borders = borders
        self._tokenize = tokenize
        self._border_ids: frozenset[int] = frozenset()
        self._splitter = Splitter(borders)
        self._known: OrderedDict[Segment, array[int]] = OrderedDict()
        self._size = 0

    @classmethod
    async def probe(cls, tokenize: Tokenize, special_tokens: SpecialTokens, text: str) -> "TokenCache":
        """Find the borders in `text`, a rendered conversation; check that splitting there is exact."""
        cache = cls(tokenize, special_tokens, await special_tokens.among(text))
        cache._border_ids = frozenset((await tokenize("".join(cache.borders))) if cache.borders else ())
        return cache if await cache.encode(text) == await tokenize(text) else cls(tokenize, special_tokens)

    async def encode(self, text: str, sentinel: str = "") -> list[int]:
        """Token ids of a prompt. `sentinel` is the escape_special_tokens's, where it covered something."""
        return list((await self.encode_up_to(text, sentinel)).tokens)

    async def encode_up_to(self, text: str, sentinel: str = "", most: int | None = None) -> Encoded:
        """Token ids of a prompt. Past `most` tokens, the number of those in the last characters is estimated from the rest."""
        tokens = array("I")
        done = 0
        for batch in self._splitter.batches(text, sentinel):
            for ids in await self._batch(batch):
                tokens.extend(ids)
            done += batch.characters
            left = len(text) - done
            if most is not None and len(tokens) > most and left >= _ESTIMATED_FROM:
                return Encoded(tokens, len(tokens) + len(tokens) * left // done)
            if left:
                await asyncio.sleep(0)
        over = most is not None and len(tokens) > most
        return Encoded(tokens if over else tokens.tolist(), len(tokens))

    async def _batch(self, batch: Batch) -> "list[array[int]]":
        """The ids of each segment, those of the unknown ones by as few calls as can be."""
        known = {segment: self._known[segment] for segment in batch.segments if segment in self._known}
        unknown = list(dict.fromkeys(segment for segment in batch.segments if segment not in known))
        found = {**known, **await self._tokenized(unknown)}
        for segment, ids in found.items():
            self._remember(segment, ids)
        return [found[segment] for segment in batch.segments]

    async def _tokenized(self, segments: Sequence[Segment]) -> "dict[Segment, array[int]]":
        """Tokenize segments: those without a sentinel in one call, since their ids split where their texts do."""
        plain = [segment for segment in segments if not segment[1]]
        single = [segment for segment in segments if segment[1]]
        ids = array("I", await self._tokenize("".join(text for text, _ in plain))) if plain else array("I")
        cuts = [place for place, token in enumerate(ids) if token in self._border_ids and place] if len(plain) > 1 else []
        if len(cuts) != max(len(plain) - 1, 0):
            single, plain, cuts = [*plain, *single], [], []
        found = dict(zip(plain, (ids[start:end] for start, end in pairwise([0, *cuts, len(ids)])), strict=False))
        return {**found, **await _answers(self._encode, single)}

    async def _encode(self, segment: Segment) -> "array[int]":
        """One segment alone. What holds a sentinel is text, whatever it spells without it."""
        text, sentinel = segment
        pieces = await self._pieces(text, sentinel)
        found = await _answers(self._piece, dict.fromkeys(pieces))
        ids = array("I")
        for piece in pieces:
            ids.extend(found[piece])
        return ids

    async def _piece(self, piece: OutputChunk) -> "array[int]":
        text, special = piece
        return array("I", await self._tokenize(text, special=special))

    async def _pieces(self, text: str, sentinel: str) -> Sequence[OutputChunk]:
        """Pieces to be tokenized one by one; the sentinel is taken out."""
        if not sentinel:
            return [(text, True)]
        special_tokens = await self.special_tokens.among(text)
        pieces: list[OutputChunk] = []
        read: list[str] = []  # special tokens, and the text without a sentinel beside them
        for piece in re.split(f"({any_of(special_tokens)})", text) if special_tokens else [text]:
            if sentinel not in piece:
                read.append(piece)
                continue
            pieces += [("".join(read), True), (piece.replace(sentinel, ""), False)]
            read.clear()
        return [(piece, special) for piece, special in [*pieces, ("".join(read), True)] if piece]

    def _remember(self, segment: Segment, ids: "array[int]") -> None:
        if segment in self._known:
            self._known.move_to_end(segment)
            return
        self._known[segment] = ids
        self._size += len(ids)
        while (self._size > _REMEMBERED_TOKENS or len(self._known) > _REMEMBERED_STRETCHES) and len(self._known) > 1:
            self._size -= len(self._known.popitem(last=False)[1])


async def _answers(
    ask: "Callable[[Question], Awaitable[array[int]]]", questions: Iterable[Question]
) -> "dict[Question, array[int]]":
    """Ask every question, a few at a time."""
    left = list(questions)
    found: dict[Question, array[int]] = {}
    for start in range(0, len(left), _AT_ONCE):
        some = left[start : start + _AT_ONCE]
        found.update(zip(some, await asyncio.gather(*map(ask, some)), strict=True))
        await asyncio.sleep(0)
    return found
