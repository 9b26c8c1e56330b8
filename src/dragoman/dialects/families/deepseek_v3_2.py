# ruff: noqa: RUF001, RUF002  (the bars are part of the tokens)
"""DeepSeek V3.2: tagged parameters that say whether they are strings.

The models write:

    <｜DSML｜function_calls>
    <｜DSML｜invoke name="add">
    <｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜function_calls>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Results, StopStrings, TaggedArguments

DSML = Calls(
    ("<｜DSML｜function_calls>", "<｜DSML｜invoke "),
    ("</｜DSML｜function_calls>",),
    NameTag("<｜DSML｜invoke ", ">", "name", "</｜DSML｜invoke>", many=True),
    TaggedArguments("<｜DSML｜parameter ", ">", "</｜DSML｜parameter>", "name", type_attribute="string"),
    lead="\n\n",
)

DEEPSEEK_V3_2 = Dialect(
    name="deepseek-v3.2",
    reasoning=Reasoning(force_close="</think>"),
    calls=DSML,
    stop_strings=StopStrings(("<｜end▁of▁sentence｜>",)),
    results=Results("<result>", "</result>", "\n", "<function_results>\n", "\n</function_results>"),
)
