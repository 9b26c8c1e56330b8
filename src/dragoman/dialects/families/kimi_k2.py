"""Kimi K2: sections of calls whose id is the tool's name and the number of the call.

The models write:

    <|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"a": 1}<|tool_call_end|>
    <|tool_calls_section_end|>                                                  without the line break
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Affixes, Calls, IdInName, Reasoning, Results, StopStrings

KIMI_K2 = Dialect(
    name="kimi-k2",
    hints=("<|tool_calls_section_begin|>",),
    reasoning=Reasoning(("<think>", "◁think▷"), ("</think>", "◁/think▷"), force_close="</think>"),
    calls=Calls(
        ("<|tool_call_begin|>",),
        ("<|tool_call_end|>",),
        carrier=Affixes(prefix="functions.", suffix="<|tool_call_argument_begin|>"),
        ids=IdInName(),
        padding="",
        between="",
        lead="",
        section_opens=("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
        section_closes=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
    ),
    stop_strings=StopStrings(("<|im_end|>",)),
    results=Results("## Return of {id}\n", "", between="\n\n"),
)
