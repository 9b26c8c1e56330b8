"""Compiles constraints to an engine's grammars: to Lark if it has llguidance, with special tokens by their id, else to GBNF."""

import logging
from collections import OrderedDict
from enum import StrEnum
from typing import Final, NamedTuple

from dragoman.constraints.cost import off_the_loop
from dragoman.constraints.forced_text import forced_texts
from dragoman.constraints.gbnf import gbnf
from dragoman.constraints.lark import compiled, literals
from dragoman.constraints.tree import Constraint
from dragoman.special_tokens import SpecialTokens, Tokenize

_LOG = logging.getLogger(__name__)
_REMEMBERED: Final = 64


class Trial(NamedTuple):
    """A grammar with one answer, to probe whether an engine enforces grammars."""

    grammar: str
    answer: str


class GrammarForm(StrEnum):
    """A notation of grammars."""

    LARK = "llguidance's Lark"
    GBNF = "llama.cpp's GBNF"


TRIAL: Final = Trial('%llguidance {}\nstart: "Q"\n', "Q")
GBNF_TRIAL: Final = Trial('root ::= "Q"\n', "Q")


class Grammars:
    """The grammars of one engine, compiled once per constraint. Large ones are compiled in a worker process."""

    def __init__(self, tokenize: Tokenize, form: GrammarForm = GrammarForm.LARK) -> None:
        self._form = form
        self._known: OrderedDict[str, str] = OrderedDict()
        self._special_tokens = SpecialTokens(tokenize)

    async def of(self, constraint: Constraint) -> str:
        """The grammar's text. Raises `InvalidRequest` where no form compiles, and what the tokenizer raises."""
        known = self._known.get(constraint.key)
        if known is None:
            known = self._known[constraint.key] = await self._compiled(constraint)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(constraint.key)
        return known

    async def _compiled(self, constraint: Constraint) -> str:
        if self._form is GrammarForm.GBNF:
            return await off_the_loop(constraint, gbnf, constraint)
        segments = await self._special_tokens.segments(literals(constraint))
        texts = await off_the_loop(constraint, forced_texts, constraint)
        spelled = await self._special_tokens.among("\n".join(sorted(texts)))
        grammar = await off_the_loop(constraint, compiled, constraint, segments, forces=not spelled)
        if grammar.relaxed:  # one line for all of them
            _LOG.warning(
                "%d schemas were relaxed to make them compile; of the first, %s", len(grammar.relaxed), grammar.relaxed[0]
            )
        return grammar.text
