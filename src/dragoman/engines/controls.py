"""Which spellings an engine takes for control tokens: `<|im_start|>`, `[INST]`, `</s>`.

There is no list of them. Whatever looks like one, in a template's output or in a client's text, is asked about once: tokenized
with control tokens and without, and if that is not the same, it is one.
"""

import re
from asyncio import gather
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

_CANDIDATE = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\]")
_MOST_REMEMBERED = 100_000


Segments = Sequence[str | int]
"""A text as an engine's tokenizer sees it: ids of control tokens, and what stands between them as text."""


class Tokenize(Protocol):
    """An engine's tokenizer: `special` decides whether a spelled control token becomes one."""

    def __call__(self, text: str, *, special: bool = True) -> Awaitable[list[int]]:
        """Token ids of `text`, nothing added."""


class ControlTokens:
    """Finds the control tokens of one model in text. `names` are spellings that are candidates whatever they look like."""

    def __init__(self, tokenize: Tokenize, names: Iterable[str] = ()) -> None:
        self._tokenize = tokenize
        self._names = tuple(name for name in names if name)
        self._known: dict[str, bool] = {}

    async def among(self, text: str) -> list[str]:
        """Those that `text` spells, in no telling order. Raises what the tokenizer raises."""
        candidates = {*_CANDIDATE.findall(text), *(name for name in self._names if name in text)}
        unknown = [candidate for candidate in candidates if candidate not in self._known]
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        if unknown and not await self._is_one("\n".join(unknown)):  # mostly none is: one question for all of them
            self._known.update(dict.fromkeys(unknown, False))
        elif unknown:
            self._known.update(zip(unknown, await gather(*map(self._is_one, unknown)), strict=True))
        return sorted(candidate for candidate in candidates if self._known.get(candidate))

    async def segments(self, texts: Collection[str]) -> dict[str, Segments]:
        """The texts that spell control tokens, taken apart at those. Raises what the tokenizer raises."""
        spelled = await self.among("\n".join(texts))
        ids = await gather(*map(self._tokenize, spelled))
        controls = {spelling: found[0] for spelling, found in zip(spelled, ids, strict=True) if len(found) == 1}
        return {text: pieces for text in texts if len(pieces := _split(text, controls)) > 1 or pieces[:1] != [text]}

    async def _is_one(self, spelled: str) -> bool:
        whole, plain = await gather(self._tokenize(spelled), self._tokenize(spelled, special=False))
        return whole != plain


def _split(text: str, controls: Mapping[str, int]) -> Segments:
    if not controls:
        return [text]
    pieces = re.split("(" + "|".join(map(re.escape, sorted(controls, key=len, reverse=True))) + ")", text)
    return [controls.get(piece, piece) for piece in pieces if piece]
