"""Llama 3.2, the small models: the whole answer is a list of Python calls: `[add(a=1), now()]`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, KeywordArguments, StopStrings

LLAMA3_2_PYTHONIC = Dialect(
    name="llama3.2-pythonic",
    calls=Calls((), (), CALLEE, KeywordArguments(), padding="", bare="["),
    stop_strings=StopStrings(("<|eot_id|>", "<|eom_id|>")),
)
