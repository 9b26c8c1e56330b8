"""How a vLLM server is made to hold constraints: by structural tags, or by Lark.

A server has one backend for all its structured outputs, and in its setting `auto` the first request decides which: xgrammar,
unless xgrammar cannot read that request. So the trial begins with what xgrammar reads, which leaves the server to its other
clients as they expect it. With `--structured-outputs-config.backend guidance` it reads llguidance's Lark, as llama.cpp does,
and that holds more. A server that was started with a reasoning parser holds nothing before the reasoning is over, which it
looks for itself; the trial finds that nothing is held.
"""

import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dragoman.constraints import Constraint, Json, Literal, Series
from dragoman.engines.controls import ControlTokens, Tokenize
from dragoman.engines.lark import LAST_STEP, literals
from dragoman.engines.llama_grammar import TRIAL, Grammars
from dragoman.engines.structural_tag import TooLarge, structural_tag
from dragoman.errors import EngineFailed, EngineRefused

_LOG = logging.getLogger(__name__)
_REMEMBERED: Final = 64
_TAG_TRIAL: Final = Constraint(Series((Literal("Q"), Json({"type": "null"}))), "trial")
_TAG_ANSWER: Final = "Qnull"

Holds = Callable[[Raw, str], Awaitable[bool]]
"""Is a constraint held, of which this is the only answer?"""


class EngineConstraints:
    """The constraints of one server."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._controls = ControlTokens(tokenize)
        self._grammars = Grammars(tokenize)
        self._lark = False
        self._taken: OrderedDict[tuple[str, int], Raw] = OrderedDict()
        self._steps: dict[str, int] = {}

    async def settle(self, holds: Holds) -> str | None:
        """Find what the server holds, and say it; None where it holds nothing."""
        if await holds(_tag(structural_tag(_TAG_TRIAL, {})), _TAG_ANSWER):
            return "structural tags"
        self._lark = await holds(_lark(TRIAL.grammar), TRIAL.answer)
        return "Lark" if self._lark else None

    def steps(self, constraint: Constraint | None) -> Iterable[int]:
        """The forms to try, strictest first. Lark is relaxed in this process, where it is compiled first."""
        if constraint is None or self._lark:
            return (0,)
        return range(self._steps.get(constraint.key, 0), LAST_STEP + 1)

    async def form(self, constraint: Constraint | None, step: int) -> Raw | UnsetType:
        """What is sent as `structured_outputs`. Raises `EngineFailed` where there is no form, and what the tokenizer raises."""
        if constraint is None:
            return UNSET
        key = constraint.key, step
        if key not in self._taken:
            self._taken[key] = await self._made(constraint, step)
            if len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)
        self._taken.move_to_end(key)
        return self._taken[key]

    async def _made(self, constraint: Constraint, step: int) -> Raw:
        if self._lark:
            return _lark(await self._grammars.of(constraint))
        segments = await self._controls.segments(literals(constraint))
        try:
            return _tag(structural_tag(constraint, segments, step))
        except TooLarge:
            raise EngineFailed("what the request asks for cannot be held: it is too large") from None

    def relax(self, constraint: Constraint | None, step: int, refusal: EngineRefused) -> bool:
        """The form was refused: is there another one?"""
        if constraint is None or self._lark or step == LAST_STEP:
            return False
        _LOG.warning("a constraint is relaxed to step %d: %s", step + 1, refusal.message)
        self._steps[constraint.key] = step + 1
        return True


def _tag(tag: dict[str, object]) -> Raw:
    return Raw(msgspec.json.encode({"structural_tag": json.dumps(tag, ensure_ascii=False)}))


def _lark(grammar: str) -> Raw:
    return Raw(msgspec.json.encode({"grammar": grammar}))
