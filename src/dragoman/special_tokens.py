"""Finds the special tokens of a model in text: `<|im_start|>`, `[INST]`, `</s>`.

There is no list of them. Every string that looks like one, in a template's output or in a client's text, is tokenized once with
special tokens and once without: if the results differ, it is one. Candidates are tokenized in groups, and a group that contains
a special token is halved, so that the work grows with the text and not with the number of candidates.
"""

import asyncio
import re
from asyncio import gather
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

SHAPES = (re.compile(r"<[^<>\s]{1,64}>"), re.compile(r"\[/?[A-Z_]{2,32}\]"))
"""The shapes of special tokens. Each is searched for separately, since one may contain another: `<[INST]>`."""

INVISIBLE = "\N{WORD JOINER}"
"""Put into a spelling of a special token, it makes it plain text, where the engine reads the text and not token ids."""

_LONGEST = 66
"""Length of the longest candidate with one of the shapes, in characters."""
_SLICE = 48 * 1024
"""Characters of a text that are searched before other tasks may run."""
_AT_ONCE = 4
"""Tokenizer calls in flight for one text."""
_MOST_REMEMBERED = 100_000


Segments = Sequence[str | int]
"""A text as an engine's tokenizer sees it: the ids of special tokens, and the text between them."""


class Tokenize(Protocol):
    """An engine's tokenizer: `special` decides whether the spelling of a special token becomes that token."""

    def __call__(self, text: str, *, special: bool = True) -> Awaitable[list[int]]:
        """Return the token ids of `text`, with nothing added."""


class SpecialTokens:
    """Finds the special tokens of one model in text. `names` are candidates of any shape."""

    def __init__(self, tokenize: Tokenize, names: Iterable[str] = ()) -> None:
        self._tokenize = tokenize
        self._names = tuple(name for name in names if name)
        self._overlap = max([_LONGEST, *map(len, self._names)])
        self._known: dict[str, bool] = {}

    async def among(self, text: str) -> list[str]:
        """Return the special tokens that `text` contains, sorted. Raises what the tokenizer raises."""
        found: set[str] = set()
        for start in range(0, len(text), _SLICE):
            if start:
                await asyncio.sleep(0)
            found.update(await self.of(candidates(text[start : start + _SLICE + self._overlap], self._names)))
        return sorted(found)

    async def of(self, spellings: Collection[str]) -> list[str]:
        """Return the special tokens among these strings, sorted. Raises what the tokenizer raises."""
        unknown = [spelling for spelling in spellings if spelling not in self._known]
        known = [spelling for spelling in spellings if self._known.get(spelling)]
        return sorted({*known, *await self._ask(unknown)})

    async def segments(self, texts: Collection[str]) -> dict[str, Segments]:
        """Return the segments of the texts that contain special tokens. Raises what the tokenizer raises."""
        spelled = await self.among("\n".join(texts))
        ids = await gather(*map(self._tokenize, spelled))
        special_tokens = {spelling: found[0] for spelling, found in zip(spelled, ids, strict=True) if len(found) == 1}
        return {text: segments for text in texts if len(segments := _split(text, special_tokens)) > 1 or segments[:1] != [text]}

    @property
    def known(self) -> list[str]:
        """The special tokens that were found so far, sorted."""
        return sorted(candidate for candidate, is_one in self._known.items() if is_one)

    async def _ask(self, unknown: Sequence[str]) -> set[str]:
        """Return the special tokens among the candidates, and remember all results."""
        found: set[str] = set()
        groups = [unknown] if unknown else []
        while groups:
            asked, groups = groups[:_AT_ONCE], groups[_AT_ONCE:]
            for group, holds in zip(asked, await gather(*map(self._holds_any, asked)), strict=True):
                if holds and len(group) > 1:
                    middle = len(group) // 2
                    groups += [group[:middle], group[middle:]]
                elif holds:
                    found.update(group)
        if len(self._known) + len(unknown) > _MOST_REMEMBERED:
            self._known = {candidate: True for candidate, is_one in self._known.items() if is_one}
        self._known.update((candidate, candidate in found) for candidate in unknown)
        return found

    async def _holds_any(self, group: Sequence[str]) -> bool:
        """Whether a group contains a special token; most contain none, so one check covers all candidates of the group."""
        spelled = "\n".join(group)
        whole, plain = await gather(self._tokenize(spelled), self._tokenize(spelled, special=False))
        return whole != plain


def candidates(text: str, names: Iterable[str]) -> set[str]:
    """Return the strings in a text that look like special tokens or are one of the names."""
    return {found for shape in SHAPES for found in shape.findall(text)}.union(name for name in names if name in text)


def _split(text: str, special_tokens: Mapping[str, int]) -> Segments:
    if not special_tokens:
        return [text]
    segments = re.split("(" + "|".join(map(re.escape, sorted(special_tokens, key=len, reverse=True))) + ")", text)
    return [special_tokens.get(segment, segment) for segment in segments if segment]
