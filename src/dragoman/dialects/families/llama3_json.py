"""Llama 3.1 to 3.3: the whole answer is a call, as JSON without tags or after the tag that is meant for code.

The models write:

    {"name": "add", "parameters": {"a": 1}}
    <|python_tag|>{"name": "add", "parameters": {"a": 1}}
    <|python_tag|>add.call(a=1)
"""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, JsonArguments, KeywordArguments, StopStrings

_TAG = ("<|python_tag|>",)
_ARGUMENTS = JsonArguments(("parameters", "arguments"))

LLAMA3_JSON = Dialect(
    name="llama3-json",
    calls=Calls((), (), codec=_ARGUMENTS, padding="", between="; ", bare="{["),
    also=(Calls(_TAG, (), codec=_ARGUMENTS), Calls(_TAG, (), replace(CALLEE, end=".call("), KeywordArguments())),
    stop_strings=StopStrings(("<|eom_id|>", "<|eot_id|>", "<|end_of_text|>")),
)
