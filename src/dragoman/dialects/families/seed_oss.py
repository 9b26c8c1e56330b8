"""Seed-OSS: the tags of Qwen3-Coder without newlines around values, and remarks about the budget in the reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings, TaggedArguments

SEED_OSS = Dialect(
    name="seed-oss",
    hints=("<seed:tool_call>",),
    reasoning=Reasoning(
        opens=("<seed:think>", "<seed:think><seed:cot_budget_reflect>"),
        closes=("</seed:think>",),
        tags=("<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>"),
        force_close="</seed:think>\n",
    ),
    calls=Calls(
        ("<seed:tool_call>", "<function="),
        ("</seed:tool_call>",),
        NameTag("<function=", ">", close="</function>"),
        TaggedArguments("<parameter=", ">", "</parameter>"),
        lead="\n\n",
    ),
    stop_strings=StopStrings(("<seed:eos>",)),
)
