# ruff: noqa: RUF001, RUF002  (the bars are part of the tokens)
"""DeepSeek V4: the calls of V3.2 between `<｜DSML｜tool_calls>` and its closer."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.deepseek_v3_2 import DSML
from dragoman.dialects.spec import Reasoning, Results, StopStrings

DEEPSEEK_V4 = Dialect(
    name="deepseek-v4",
    reasoning=Reasoning(force_close="</think>"),
    calls=replace(DSML, opens=("<｜DSML｜tool_calls>", "<｜DSML｜invoke "), closes=("</｜DSML｜tool_calls>",)),
    stop_strings=StopStrings(("<｜end▁of▁sentence｜>",)),
    results=Results("<tool_result>", "</tool_result>"),
)
