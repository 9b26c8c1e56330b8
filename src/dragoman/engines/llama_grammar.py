"""Constraints as llama.cpp takes them: Lark for llguidance, with its tokenizer's control tokens by their ids."""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

from dragoman.constraints import Constraint
from dragoman.engines.lark import Segments, Uncompilable, compiled, literals
from dragoman.errors import EngineFailed

_LOG = logging.getLogger(__name__)
_REMEMBERED: Final = 64
_CANDIDATE: Final = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\]")


class Trial(NamedTuple):
    """A grammar with one answer, to see whether grammars are held."""

    grammar: str
    answer: str


TRIAL: Final = Trial('%llguidance {}\nstart: "Q"\n', "Q")


class Tokenize(Protocol):
    """An engine's tokenizer."""

    async def __call__(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of `text`, nothing added."""


class Grammars:
    """The grammars of one engine, compiled once per constraint. Large ones are compiled beside the event loop."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._known: OrderedDict[str, str] = OrderedDict()
        self._controls: dict[str, int | None] = {}

    async def of(self, constraint: Constraint) -> str:
        """The grammar's text. Raises `EngineFailed` where nothing compiles, and what the tokenizer raises."""
        known = self._known.get(constraint.key)
        if known is None:
            known = self._known[constraint.key] = await self._compiled(constraint)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(constraint.key)
        return known

    async def _compiled(self, constraint: Constraint) -> str:
        segments = await self._segments(literals(constraint))
        try:
            grammar = await asyncio.to_thread(compiled, constraint, segments)
        except Uncompilable as error:
            raise EngineFailed(f"what the request asks for cannot be held: {error}") from error
        for words in grammar.relaxed:
            _LOG.warning("a schema was relaxed to make it compile, its %s", words)
        return grammar.text

    async def _segments(self, texts: Collection[str]) -> dict[str, Segments]:
        """The texts that spell control tokens, taken apart at those."""
        candidates = {found for text in texts for found in _CANDIDATE.findall(text)}
        for candidate in candidates - self._controls.keys():
            whole, plain = await asyncio.gather(self._tokenize(candidate), self._tokenize(candidate, special=False))
            self._controls[candidate] = whole[0] if len(whole) == 1 and whole != plain else None
        controls = {spelling: token for spelling in candidates if (token := self._controls[spelling]) is not None}
        return {text: pieces for text in texts if len(pieces := _split(text, controls)) > 1 or pieces[:1] != [text]}


def _split(text: str, controls: dict[str, int]) -> Sequence[str | int]:
    if not controls:
        return [text]
    pieces = re.split("(" + "|".join(map(re.escape, sorted(controls, key=len, reverse=True))) + ")", text)
    return [controls.get(piece, piece) for piece in pieces if piece]
