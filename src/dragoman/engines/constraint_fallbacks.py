"""The forms in which a remote engine is sent a constraint, strictest first.

The engine compiles the constraint and refuses what does not compile. The same request is then sent again with its schemas
relaxed by a step, see `lark`; the step that was refused is remembered, so that only the first request is sent twice.
"""

import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, Raw, UnsetType

from dragoman.constraints.lark import LAST_STEP
from dragoman.constraints.tree import Constraint
from dragoman.errors import EngineRefused

_LOG = logging.getLogger(__name__)
_REMEMBERED: Final = 64

ConstraintForm = Raw | UnsetType
"""A constraint in an engine's own JSON; unset for a request without one."""


class ConstraintFallbacks(ABC):
    """The constraint forms for one server. `last` is the last relaxation step that we try: 0 where there is only one form."""

    last: int = LAST_STEP

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], Raw] = OrderedDict()
        self._steps: dict[str, int] = {}

    @abstractmethod
    async def make(self, constraint: Constraint, step: int) -> Raw:
        """The form for one relaxation step. Raises `InvalidRequest` where there is none, and what the tokenizer raises."""

    def steps(self, constraint: Constraint | None) -> Iterable[int]:
        """The relaxation steps to try, in order."""
        if constraint is None:
            return (0,)
        return range(self._steps.get(constraint.key, 0), self.last + 1)

    async def form(self, constraint: Constraint | None, step: int) -> ConstraintForm:
        """The form to send. Raises as `make`."""
        if constraint is None:
            return UNSET
        key = constraint.key, step
        if key not in self._made:
            self._made[key] = await self.make(constraint, step)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]

    def relax(self, constraint: Constraint | None, step: int, refusal: EngineRefused) -> bool:
        """Record that the form was refused, and return whether there is another one."""
        if constraint is None or step == self.last:
            return False
        _LOG.warning("a constraint is relaxed to step %d: %s", step + 1, refusal.message)
        self._steps[constraint.key] = step + 1
        return True
