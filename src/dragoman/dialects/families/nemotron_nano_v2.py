"""Nemotron Nano v2: an array of calls."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, Results

NEMOTRON_NANO_V2 = Dialect(
    name="nemotron-nano-v2",
    reasoning=Reasoning(),
    calls=Calls(("<TOOLCALL>",), ("</TOOLCALL>",), codec=JsonArguments(array=True), padding=""),
    results=Results("", "", ", ", "<TOOL_RESPONSE>[", "]</TOOL_RESPONSE>"),
)
