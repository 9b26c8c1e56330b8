"""FunctionGemma: the dict of Gemma 4 with another quote.

The models write:

    <start_function_call>call:add{a:1,b:<escape>x<escape>}<end_function_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, LiteralArguments, NameTag, Results, StopStrings

FUNCTIONGEMMA = Dialect(
    name="functiongemma",
    hints=("<start_function_call>",),
    calls=Calls(
        ("<start_function_call>",),
        ("<end_function_call>",),
        NameTag(prefix="call:"),
        LiteralArguments("<escape>"),
        padding="",
        between="",
        lead="",
    ),
    stop_strings=StopStrings(("<start_function_response>", "<end_of_turn>", "<eos>")),
    results=Results("<start_function_response>response:{name}{value:<escape>", "<escape>}<end_function_response>", between=""),
)
