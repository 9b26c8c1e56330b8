"""Hunyuan-A13B: an array of calls between `<tool_calls>` tags, and `<answer>` tags around the answer."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, StopStrings, Wrapper

HUNYUAN_A13B = Dialect(
    name="hunyuan-a13b",
    reasoning=Reasoning(force_close="\n</think>\n<answer>\n"),
    wrapper=Wrapper(("<answer>", "</answer>")),
    calls=Calls(("<tool_calls>",), ("</tool_calls>",), codec=JsonArguments(array=True), padding=""),
    stop_strings=StopStrings(("<|eos|>",)),
)
