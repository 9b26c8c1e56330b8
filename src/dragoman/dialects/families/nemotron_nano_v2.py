"""Nemotron Nano v2: an array of calls: `<TOOLCALL>[{"name": "add", "arguments": {"a": 1}}]</TOOLCALL>`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, Results, StopStrings

NEMOTRON_NANO_V2 = Dialect(
    name="nemotron-nano-v2",
    hints=("<TOOLCALL>",),
    reasoning=Reasoning(prompted=True),
    calls=Calls(("<TOOLCALL>",), ("</TOOLCALL>",), codec=JsonArguments(array=True), padding=""),
    stop_strings=StopStrings(("<SPECIAL_12>",)),
    results=Results("", "", ", ", "<TOOL_RESPONSE>[", "]</TOOL_RESPONSE>"),
)
