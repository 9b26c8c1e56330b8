# ruff: noqa: RUF001  (the bars are part of the tokens)
"""GigaChat 3 and 3.1: one call, as a message of its own; GigaChat 3.5: tagged parameters, which are only read.

The models write:

    <|message_sep|>

    function call<|role_sep|>
    {"name": "add", "arguments": {"a": 1}}
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, StopStrings, TaggedArguments

GIGACHAT3 = Dialect(
    name="gigachat3",
    calls=Calls(
        (
            "<|message_sep|>\n\nfunction call<|role_sep|>\n",
            "<|message_sep|>function call<|role_sep|>",
            "function call<|role_sep|>",
            "<|function_call|>",
        ),
        (),
        padding="",
        lead="",
    ),
    also=(
        Calls(
            ("<｜GCML｜tool_calls>", "<｜GCML｜invoke "),
            ("</｜GCML｜tool_calls>",),
            NameTag("<｜GCML｜invoke ", ">", "name", "</｜GCML｜invoke>", many=True),
            TaggedArguments("<｜GCML｜parameter ", ">", "</｜GCML｜parameter>", "name", type_attribute="string"),
        ),
    ),
    stop_strings=StopStrings(("</s>", "<|message_sep|>", "<|role_sep|>")),
)
