"""Cohere's Command A+: calls as elements whose tags say what they hold.

The models write:

    <cofl:tool_calls>
    <cofl:tool_call id="0" name="add"><cofl:value name="a" type="json">1</cofl:value></cofl:tool_call>
    </cofl:tool_calls>                                                          without the line breaks
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, ElementArguments, NameTag, Reasoning, StopStrings, Wrapper

COMMAND_A_PLUS_XML = Dialect(
    name="command-a-plus-xml",
    reasoning=Reasoning(("<|START_THINKING|>",), ("<|END_THINKING|>",), force_close="<|END_THINKING|><|START_TEXT|>"),
    wrapper=Wrapper(("<|START_TEXT|>", "<|END_TEXT|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")),
    calls=Calls(
        ("<cofl:tool_calls>", "<cofl:tool_call "),
        ("</cofl:tool_calls>",),
        NameTag(
            "<cofl:tool_call ",
            ">",
            "name",
            "</cofl:tool_call>",
            id="id",
            inside='id="{place}" name="{name}"',
            many=True,
            between="",
        ),
        ElementArguments("<cofl:value", "</cofl:value>", attribute="name", type_attribute="type"),
        padding="",
    ),
    stop_strings=StopStrings(("<|END_OF_TURN_TOKEN|>",)),
)
