"""Gemma 4: a dict with bare keys; strings are between two `<|"|>` tokens, without escapes.

The models write:

    <|channel>thought
    reasoning<channel|><|tool_call>call:add{a:1,b:<|"|>x<|"|>}<tool_call|>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, LiteralArguments, NameTag, Reasoning, Results, StopStrings

GEMMA4 = Dialect(
    name="gemma4",
    hints=("<|tool_call>",),
    reasoning=Reasoning(("<|channel>thought", "<|channel>"), ("<channel|>",), force_close="\n<channel|>"),
    calls=Calls(
        ("<|tool_call>",),
        ("<tool_call|>",),
        NameTag(prefix="call:"),
        LiteralArguments('<|"|>'),
        padding="",
        between="",
        lead="",
    ),
    stop_strings=StopStrings(("<turn|>", "<|tool_response>", "<eos>")),
    results=Results('<|tool_response>response:{name}{value:<|"|>', '<|"|>}<tool_response|>', between=""),
)
