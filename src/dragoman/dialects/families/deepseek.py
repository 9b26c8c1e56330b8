# ruff: noqa: RUF001, RUF002  (the bars are part of the tokens)
"""DeepSeek R1 to V3.1: sections of calls with a name before the arguments.

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>

Up to V3, the name follows `function<｜tool▁sep｜>` and the arguments are in a Markdown fence. The distilled models misspell the
opener of a section and omit that of a call.
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Affixes, Calls, JsonArguments, Reasoning, Results, StopStrings

_SECTION_OPENS = (
    "<｜tool▁calls▁begin｜>",
    "<｜tool_calls_begin｜>",
    "<｜tool calls begin｜>",
    "<｜tool\\_calls\\_begin｜>",
    "<｜tool▁calls｜>",
)
_SECTION_CLOSES = ("<｜tool▁calls▁end｜>",)
_END = StopStrings(("<｜end▁of▁sentence｜>",))

DEEPSEEK_R1 = Dialect(
    name="deepseek-r1",
    reasoning=Reasoning(prompted=True),
    calls=Calls(
        ("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>"),
        ("<｜tool▁call▁end｜>",),
        carrier=Affixes(suffix="\n"),
        codec=JsonArguments(fenced=True),
        padding="",
        lead="",
        section_opens=_SECTION_OPENS,
        section_closes=_SECTION_CLOSES,
    ),
    stop_strings=_END,
    results=Results(
        "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "\n", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"
    ),
)

DEEPSEEK_V3_1 = Dialect(
    name="deepseek-v3.1",
    reasoning=Reasoning(force_close="</think>"),
    calls=Calls(
        ("<｜tool▁call▁begin｜>",),
        ("<｜tool▁call▁end｜>",),
        carrier=Affixes(suffix="<｜tool▁sep｜>"),
        padding="",
        lead="",
        between="",
        section_opens=_SECTION_OPENS,
        section_closes=_SECTION_CLOSES,
    ),
    stop_strings=_END,
    results=Results("<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", between=""),
)
