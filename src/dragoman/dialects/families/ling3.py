"""Ling 3 and Ring: the calls of GLM 4.5."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.glm_4_5 import ARG_PAIRS
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings

LING3 = Dialect(
    name="ling3",
    reasoning=Reasoning(prompted=True),
    calls=Calls(carrier=NameTag(), codec=ARG_PAIRS, padding=""),
    stop_strings=StopStrings(("<|role_end|>",)),
)
