"""Gemma 3: it has no format for calls, so it is asked for a list of Python calls, which it may put into a fence."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, KeywordArguments, Results, StopStrings

_IN_CODE = replace(CALLEE, skips=(*CALLEE.skips, "print(", ")", "```"))

GEMMA3 = Dialect(
    name="gemma3",
    hints=("<start_of_image>",),
    calls=Calls((), (), CALLEE, KeywordArguments(), padding="", bare="["),
    also=(Calls(("```tool_code",), (), _IN_CODE, KeywordArguments()),),
    stop_strings=StopStrings(("<end_of_turn>", "<eos>")),
    results=Results("```tool_output\n", "\n```"),
)
