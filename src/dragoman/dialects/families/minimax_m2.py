"""MiniMax M2: tagged parameters, without newlines around the values.

The models write:

    <minimax:tool_call>
    <invoke name="add">
    <parameter name="a">1</parameter>
    </invoke>
    </minimax:tool_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Results, StopStrings, TaggedArguments

MINIMAX_M2 = Dialect(
    name="minimax-m2",
    hints=("<minimax:tool_call>",),
    reasoning=Reasoning(prompted=True),
    calls=Calls(
        ("<minimax:tool_call>", "<invoke "),
        ("</minimax:tool_call>",),
        NameTag("<invoke ", ">", "name", "</invoke>", many=True),
        TaggedArguments("<parameter ", ">", "</parameter>", "name"),
    ),
    stop_strings=StopStrings(("[e~[",)),
    results=Results("<response>", "</response>"),
)
