"""Apertus: an array of calls, each with the tool's name as its key.

    <|inner_prefix|>reasoning<|inner_suffix|><|tools_prefix|>[{"add": {"a": 1}}]<|tools_suffix|>

Real calls also come inside the reasoning, which continues after them.
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, CallsInside, JsonArguments, KeyIsName, Reasoning, Results, StopStrings

APERTUS = Dialect(
    name="apertus",
    hints=("<|tools_prefix|>",),
    reasoning=Reasoning(
        ("<|inner_prefix|>",), ("<|inner_suffix|>",), force_close="<|inner_suffix|>", calls_inside=CallsInside.INTERRUPT
    ),
    calls=Calls(
        ("<|tools_prefix|>",), ("<|tools_suffix|>",), carrier=KeyIsName(), codec=JsonArguments(array=True), padding="", lead=""
    ),
    stop_strings=StopStrings(("<|assistant_end|>",)),
    results=Results("", "", between=", ", before="[", after="]"),
)
