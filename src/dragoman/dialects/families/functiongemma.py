"""FunctionGemma: the dict of Gemma 4 with another quote."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, LiteralArguments, NameTag, Terminals

FUNCTIONGEMMA = Dialect(
    name="functiongemma",
    calls=Calls(
        ("<start_function_call>",),
        ("<end_function_call>",),
        NameTag(prefix="call:"),
        LiteralArguments("<escape>"),
        padding="",
        between="",
        lead="",
    ),
    terminals=Terminals(("<start_function_response>", "<end_of_turn>", "<eos>")),
)
