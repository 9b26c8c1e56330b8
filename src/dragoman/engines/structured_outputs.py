"""Constraint forms for vLLM and SGLang servers: structural tags, or Lark.

A vLLM server has one backend for all its structured outputs, and with the setting `auto` the first request decides which:
xgrammar, unless xgrammar cannot read that request. So the trial begins with a form that xgrammar reads, which leaves the server
as its other clients expect it. With `--structured-outputs-config.backend guidance` it reads llguidance's Lark, as llama.cpp
does, and that enforces more. A server that was started with a reasoning parser enforces nothing before the end of the
reasoning, which it detects itself; the trial then finds that constraints are not enforced.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Raw

from dragoman.constraints.compiler import TRIAL, Grammars
from dragoman.constraints.cost import off_the_loop
from dragoman.constraints.lark import literals
from dragoman.constraints.structural_tag import structural_tag
from dragoman.constraints.tree import Constraint, Json, Literal, Series
from dragoman.engines.constraint_fallbacks import ConstraintFallbacks
from dragoman.special_tokens import SpecialTokens, Tokenize

_TAG_TRIAL: Final = Constraint(Series((Literal("Q"), Json({"type": "null"}))), "trial")
_TAG_ANSWER: Final = "Qnull"

Enforces = Callable[[Raw, str], Awaitable[bool]]
"""Whether the server enforces a constraint of which this is the only answer."""


class EngineConstraints(ConstraintFallbacks):
    """The constraint forms of one server."""

    def __init__(self, tokenize: Tokenize) -> None:
        super().__init__()
        self._special_tokens = SpecialTokens(tokenize)
        self._grammars = Grammars(tokenize)
        self._lark = False

    async def choose_form(self, enforces: Enforces) -> str | None:
        """Find which form the server enforces, and return its name; None where it enforces none."""
        if await enforces(_tag(structural_tag(_TAG_TRIAL, {})), _TAG_ANSWER):
            return "structural tags"
        self._lark = await enforces(_lark(TRIAL.grammar), TRIAL.answer)
        if not self._lark:
            return None
        self.last = 0  # Lark is compiled, and relaxed, in this process first
        return "Lark"

    @property
    def spells_markers(self) -> bool:
        """Whether the server may spell a special token with ordinary ones: structural tags do not tell them apart."""
        return not self._lark

    async def make(self, constraint: Constraint, step: int) -> Raw:
        """The value of `structured_outputs`."""
        if self._lark:
            return _lark(await self._grammars.of(constraint))
        segments = await self._special_tokens.segments(literals(constraint))
        return _tag(await off_the_loop(constraint, structural_tag, constraint, segments, step))


def _tag(tag: dict[str, object]) -> Raw:
    return Raw(msgspec.json.encode({"structural_tag": json.dumps(tag, ensure_ascii=False)}))


def _lark(grammar: str) -> Raw:
    return Raw(msgspec.json.encode({"grammar": grammar}))
