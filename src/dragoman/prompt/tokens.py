"""Tokenizes prompts by segments, and caches the token ids of each segment.

Tokenizers never merge text across a special token (`<|im_start|>`), so a prompt can be split into segments that are tokenized
one by one with the same result: a special token and the text after it. The segments of earlier turns are cached, so that a new
turn costs its own length and not the conversation's. The engine's tokenizer decides which spellings are special tokens. A
check tokenizes one prompt both ways; if the results differ, prompts are tokenized whole.

Large texts go to the tokenizer in batches (`segments`), between which other requests can run.
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

_REMEMBERED = 16_000_000
"""Bytes of the cached segments: four for each token and one for each character of the text."""
_REMEMBERED_SEGMENTS = 100_000
_AT_ONCE = 4
"""Concurrent tokenizer calls for one text."""
_ESTIMATED_FROM = 1_000_000
"""The fewest remaining characters whose number of tokens is estimated."""

Ids = bytes
"""Token ids as the bytes of an `array("I")`, which, unlike the array, the garbage collector does not visit: there are many."""
_ID_BYTES = array("I").itemsize

TokenizerInput = tuple[str, bool]
"""A text for the tokenizer, and whether spelled special tokens in it become special tokens."""
Input = TypeVar("Input", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The token ids of a text and their number.

    If `length` is larger than the requested `most`, it may be an estimate, and `tokens` only the first of them.
    """

    tokens: Sequence[int]
    length: int


class TokenCache:
    """Tokenizes prompts of one model. It caches the most recently used segments, up to 16 MB."""

    def __init__(self, tokenize: Tokenize, special_tokens: SpecialTokens, borders: Sequence[str] = ()) -> None:
        self.special_tokens = special_tokens
        self.borders = borders
        self._tokenize = tokenize
        self._border_ids: frozenset[int] = frozenset()
        self._splitter = Splitter(borders)
        self._known: OrderedDict[Segment, Ids] = OrderedDict()
        self._size = 0

    @classmethod
    async def probe(cls, tokenize: Tokenize, special_tokens: SpecialTokens, text: str) -> "TokenCache":
        """Find the borders in `text`, a rendered conversation, and check that tokenizing by segments is exact."""
        cache = cls(tokenize, special_tokens, await special_tokens.among(text))
        cache._border_ids = frozenset((await tokenize("".join(cache.borders))) if cache.borders else ())
        return cache if await cache.encode(text) == await tokenize(text) else cls(tokenize, special_tokens)

    async def encode(self, text: str, sentinel: str = "") -> list[int]:
        """Token ids of a prompt. `sentinel` is that of `escape_special_tokens`, if it escaped something."""
        return list((await self.encode_up_to(text, sentinel)).tokens)

    async def encode_up_to(self, text: str, sentinel: str = "", most: int | None = None) -> Encoded:
        """Token ids of a prompt. After `most` tokens, the number of tokens in a long rest of the text is estimated."""
        tokens = array("I")
        done = 0
        for batch in self._splitter.batches(text, sentinel):
            for ids in await self._batch(batch):
                tokens.frombytes(ids)
            done += batch.characters
            left = len(text) - done
            if most is not None and len(tokens) > most and left >= _ESTIMATED_FROM:
                return Encoded(tokens, len(tokens) + len(tokens) * left // done)
            if batch.characters < len(text):  # it is not the only one
                await asyncio.sleep(0)
        return Encoded(tokens, len(tokens))

    async def lengths(self, text: str, sentinel: str = "") -> list[tuple[str, int]]:
        """The segments of a text, as `encode` gets it, without its sentinels, and the number of tokens of each."""
        found: list[tuple[str, int]] = []
        for batch in self._splitter.batches(text, sentinel):
            ids = await self._batch(batch)
            for segment, tokens in zip(batch.segments, ids, strict=True):
                whole = segment.text
                found.append((whole.replace(segment.sentinel, "") if segment.sentinel else whole, len(tokens) // _ID_BYTES))
            await asyncio.sleep(0)
        return found

    async def measure(self, text: str) -> int:
        """The number of tokens of a text that begins with a special token, or has none; it is not cached."""
        return len(await self._tokenize(text))

    async def _batch(self, batch: Batch) -> list[Ids]:
        """The ids of each segment, with as few tokenizer calls as possible for the segments that are not cached."""
        known = [self._recalled(segment) for segment in batch.segments]
        pairs = list(zip(batch.segments, known, strict=True))
        if not (unknown := dict.fromkeys(segment for segment, ids in pairs if ids is None)):
            return [ids for ids in known if ids is not None]
        fresh = await self._tokenized(list(unknown))
        for segment, ids in fresh.items():
            self._remember(segment, ids)
        return [fresh[segment] if ids is None else ids for segment, ids in pairs]

    async def _tokenized(self, segments: Sequence[Segment]) -> dict[Segment, Ids]:
        """Tokenize segments: those without a sentinel in one call, whose ids can be split at the special tokens."""
        plain = [segment for segment in segments if not segment.sentinel]
        single = [segment for segment in segments if segment.sentinel]
        ids = array("I", await self._tokenize("".join([segment.text for segment in plain]))) if plain else array("I")
        cuts = [place for place, token in enumerate(ids) if token in self._border_ids and place] if len(plain) > 1 else []
        if len(cuts) != max(len(plain) - 1, 0):
            single, plain, cuts = [*plain, *single], [], []
        pieces = (ids[start:end].tobytes() for start, end in pairwise([0, *cuts, len(ids)]))
        return {**dict(zip(plain, pieces, strict=False)), **await _gather(self._encode, single)}

    async def _encode(self, segment: Segment) -> Ids:
        """The ids of one segment. Text with a sentinel is tokenized as plain text, even if it spells a special token."""
        pieces = await self._pieces(segment.text, segment.sentinel)
        await asyncio.sleep(0)
        found = await _gather(self._piece, dict.fromkeys(pieces))
        return b"".join([found[piece] for piece in pieces])

    async def _piece(self, piece: TokenizerInput) -> Ids:
        text, special = piece
        return array("I", await self._tokenize(text, special=special)).tobytes()

    async def _pieces(self, text: str, sentinel: str) -> Sequence[TokenizerInput]:
        """The inputs to tokenize one by one for a segment, without the sentinel."""
        if not sentinel:
            return [(text, True)]
        special_tokens = await self.special_tokens.among(text)
        await asyncio.sleep(0)  # each of these steps takes milliseconds for a large segment
        pieces: list[TokenizerInput] = []
        read: list[str] = []  # special tokens, and text without a sentinel
        for piece in re.split(f"({any_of(special_tokens)})", text) if special_tokens else [text]:
            if sentinel not in piece:
                read.append(piece)
                continue
            pieces += [("".join(read), True), (piece.replace(sentinel, ""), False)]
            read.clear()
        return [(piece, special) for piece, special in [*pieces, ("".join(read), True)] if piece]

    def _recalled(self, segment: Segment) -> Ids | None:
        ids = self._known.get(segment)
        if ids is not None:
            self._known.move_to_end(segment)
        return ids

    def _remember(self, segment: Segment, ids: Ids) -> None:
        if segment in self._known:  # another request has asked for it at the same time
            return
        self._known[segment] = ids
        self._size += _bytes(segment, ids)
        while (self._size > _REMEMBERED or len(self._known) > _REMEMBERED_SEGMENTS) and len(self._known) > 1:
            self._size -= _bytes(*self._known.popitem(last=False))


def _bytes(segment: Segment, ids: Ids) -> int:
    return len(ids) + len(segment.text)


async def _gather(tokenize: Callable[[Input], Awaitable[Ids]], inputs: Iterable[Input]) -> dict[Input, Ids]:
    """Call the tokenizer for every input, a few at a time."""
    left = list(inputs)
    found: dict[Input, Ids] = {}
    for start in range(0, len(left), _AT_ONCE):
        some = left[start : start + _AT_ONCE]
        found.update(zip(some, await asyncio.gather(*map(tokenize, some)), strict=True))
        await asyncio.sleep(0)
    return found
