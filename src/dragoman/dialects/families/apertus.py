"""Apertus: the name of a tool is a key. Real calls stand inside the reasoning, which goes on behind them."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, KeyIsName, Reasoning, Results, StopStrings

APERTUS = Dialect(
    name="apertus",
    hints=("<|tools_prefix|>",),
    reasoning=Reasoning(("<|inner_prefix|>",), ("<|inner_suffix|>",), force_close="<|inner_suffix|>", resumes=True),
    calls=Calls(
        ("<|tools_prefix|>",), ("<|tools_suffix|>",), carrier=KeyIsName(), codec=JsonArguments(array=True), padding="", lead=""
    ),
    stop_strings=StopStrings(("<|assistant_end|>",)),
    results=Results("", "", between=", ", before="[", after="]"),
)
