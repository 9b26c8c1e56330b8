"""Step 3.5: the calls of Qwen3-Coder, with nothing between two calls."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.qwen3_coder import QWEN_XML
from dragoman.dialects.spec import Reasoning, Results, StopStrings

STEP3_5 = Dialect(
    name="step3.5",
    reasoning=Reasoning(force_close="\n</think>\n", prompted=True),
    calls=replace(QWEN_XML, between="", lead=""),
    stop_strings=StopStrings(("<|im_end|>",)),
    results=Results("<tool_response>", "</tool_response>"),
)
