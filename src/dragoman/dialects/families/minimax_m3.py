"""MiniMax M3: a tree of elements, with the mark `]<]minimax[>[` before every tag (here `M`).

The models write:

    M<tool_call>
    M<invoke name="add">M<a>1M</a>M<tags>M<item>xM</item>M</tags>M</invoke>
    M</tool_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, ElementArguments, NameTag, Reasoning, Results, StopStrings

_M = "]<]minimax[>["

MINIMAX_M3 = Dialect(
    name="minimax-m3",
    reasoning=Reasoning(("<mm:think>",), ("</mm:think>",), force_close="</mm:think>"),
    calls=Calls(
        (f"{_M}<tool_call>", f"{_M}<invoke "),
        (f"{_M}</tool_call>",),
        NameTag(f"{_M}<invoke ", ">", "name", f"{_M}</invoke>", many=True),
        ElementArguments(f"{_M}<", f"{_M}</{{}}>", item="item"),
        lead="",
    ),
    stop_strings=StopStrings(("[e~[",)),
    results=Results("<response>", "</response>"),
)
