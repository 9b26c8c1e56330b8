"""Hunyuan 3: the pairs of GLM 4.5, in calls with a name tag; published tokenizers may add a suffix to every tag.

The models write:

    <tool_calls>
    <tool_call>add<tool_sep>
    <arg_key>a</arg_key>
    <arg_value>1</arg_value>
    </tool_call>
    </tool_calls>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.glm_4_5 import ARG_PAIRS
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Results, StopStrings, TaggedArguments

_WITH_SUFFIX = Calls(
    ("<tool_calls:opensource>", "<tool_call:opensource>"),
    ("</tool_calls:opensource>",),
    NameTag("<tool_call:opensource>", "<tool_sep:opensource>", close="</tool_call:opensource>", many=True),
    TaggedArguments(
        "<arg_key:opensource>", "</arg_key:opensource>", "</arg_value:opensource>", value_open="<arg_value:opensource>"
    ),
)

HY_V3 = Dialect(
    name="hy-v3",
    reasoning=Reasoning(("<think>", "<think:opensource>"), ("</think>", "</think:opensource>")),
    calls=Calls(
        ("<tool_calls>", "<tool_call>"),
        ("</tool_calls>",),
        NameTag("<tool_call>", "<tool_sep>", close="</tool_call>", many=True),
        ARG_PAIRS,
    ),
    also=(_WITH_SUFFIX,),
    stop_strings=StopStrings(("<|eos|>",)),
    results=Results(before="<tool_responses>\n", after="\n</tool_responses>"),
)
