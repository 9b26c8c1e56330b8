# ruff: noqa: RUF001, RUF002  (the bars are part of the tokens)
"""Step 3: tagged parameters, in a section of calls.

The models write:

    <｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="add">
    <steptml:parameter name="a">1</steptml:parameter></steptml:invoke>          without the line breaks
    <｜tool_call_end｜><｜tool_calls_end｜>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings, TaggedArguments

STEP3 = Dialect(
    name="step3",
    reasoning=Reasoning(force_close="\n</think>\n", prompted=True),
    calls=Calls(
        ("<｜tool_calls_begin｜>", "<｜tool_call_begin｜>", "<steptml:invoke "),
        ("<｜tool_calls_end｜>",),
        NameTag(
            "<steptml:invoke ", ">", "name", "</steptml:invoke>", many=True, between="",
            before="<｜tool_call_begin｜>function<｜tool_sep｜>", after="<｜tool_call_end｜>",
            skips=("<｜tool_call_begin｜>", "function<｜tool_sep｜>", "function", "<｜tool_sep｜>", "<｜tool_call_end｜>"),
        ),
        TaggedArguments("<steptml:parameter ", ">", "</steptml:parameter>", "name", between=""),
        padding="",
    ),
    stop_strings=StopStrings(("<|EOT|>",)),
)  # fmt: skip
