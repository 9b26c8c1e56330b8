"""Phi-4-mini: a word and an array of calls, `functools[{"name": "add", …}]`, or an object between `<|tool_call|>` tags."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, StopStrings

PHI_4_MINI = Dialect(
    name="phi-4-mini",
    hints=("<|tool|>", "<|/tool|>"),
    calls=Calls(("functools",), (), codec=JsonArguments(array=True), padding=""),
    also=(Calls(("<|tool_call|>",), ("<|/tool_call|>",)),),
    stop_strings=StopStrings(("<|end|>", "<|endoftext|>")),
)
