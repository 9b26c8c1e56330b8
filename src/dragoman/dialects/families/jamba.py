"""Jamba: an array of calls: `<tool_calls>[{"name": "add", "arguments": {"a": 1}}]</tool_calls>`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, StopStrings

JAMBA = Dialect(
    name="jamba",
    calls=Calls(("<tool_calls>",), ("</tool_calls>",), codec=JsonArguments(array=True), padding=""),
    stop_strings=StopStrings(("<|endoftext|>", "<|eom|>")),
)
