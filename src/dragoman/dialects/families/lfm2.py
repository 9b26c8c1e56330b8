"""LFM2: a list of Python calls: `<|tool_call_start|>[add(a=1)]<|tool_call_end|>`; its template does not render calls."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, KeywordArguments, Reasoning, Results, StopStrings

LFM_CALLS = Calls(("<|tool_call_start|>",), ("<|tool_call_end|>",), CALLEE, KeywordArguments(), padding="", between="", lead="")
LFM_RESULTS = Results("<|tool_response_start|>", "<|tool_response_end|>")

LFM2 = Dialect(
    name="lfm2",
    hints=("List of tools: <|tool_list_start|>[",),
    reasoning=Reasoning(force_close="</think>"),
    calls=LFM_CALLS,
    stop_strings=StopStrings(("<|im_end|>",)),
    results=LFM_RESULTS,
)
