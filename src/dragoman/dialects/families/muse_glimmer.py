"""Muse Glimmer: messages with recipients; one to a tool holds tagged parameters.

The models write:

     to=self<|message|>reasoning<|eom|><|start|>assistant to=add<|message|><atem:function_calls>
    <atem:invoke name="add">
    <atem:parameter name="a">1</atem:parameter>
    </atem:invoke>
    </atem:function_calls>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Frame, NameTag, Reasoning, Results, TaggedArguments

MUSE_GLIMMER = Dialect(
    name="muse-glimmer",
    frame=Frame(
        starts=("<|start|>",),
        header_end="<|message|>",
        ends=("<|eom|>", "<|eot|>"),
        recipient=r"to=\s*([^\s<>|]+)",
        thinking=r"to=\s*self\b",
        known=r"\bto=|<\|start\|>",
        unended=r"\s*(?:<\|start\|>)?(?:assistant)?\s*to=\s*(?:user|self)\b\s*",
        call=" to={name}",
        call_end="",
        between="<|eom|><|start|>assistant",
        text=" to=user",
    ),
    reasoning=Reasoning((" to=self<|message|>",), (), force_close="<|eom|><|start|>assistant to=user<|message|>"),
    calls=Calls(
        (),
        (),
        NameTag(
            "<atem:invoke ",
            ">",
            "name",
            "</atem:invoke>",
            before="<atem:function_calls>\n",
            after="\n</atem:function_calls>",
            skips=("<atem:function_calls>", "</atem:function_calls>"),
        ),
        TaggedArguments("<atem:parameter ", ">", "</atem:parameter>", "name"),
        padding="",
    ),
    results=Results('<tool_output name="{name}">\n', "\n</tool_output>"),
)
