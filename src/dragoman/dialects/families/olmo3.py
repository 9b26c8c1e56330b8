"""OLMo 3: Python calls, one per line: `<function_calls>add(a=1)</function_calls>`."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CALLEE, Calls, KeywordArguments, Reasoning, StopStrings

_CALLEE = replace(CALLEE, between="\n", list_open="", list_close="")

OLMO3 = Dialect(
    name="olmo3",
    reasoning=Reasoning(prompted=True),
    calls=Calls(("<function_calls>",), ("</function_calls>",), _CALLEE, KeywordArguments(), padding=""),
    stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")),
)
