"""Llama 4: a list of Python calls between tags that are often omitted: `<|python_start|>[add(a=1)]<|python_end|>`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, KeywordArguments, StopStrings

LLAMA4_PYTHONIC = Dialect(
    name="llama4-pythonic",
    calls=Calls(("<|python_start|>",), ("<|python_end|>",), CALLEE, KeywordArguments(), padding="", bare="["),
    stop_strings=StopStrings(("<|eot|>", "<|eom|>")),
)
