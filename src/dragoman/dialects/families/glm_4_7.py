"""GLM 4.7 and 5: the tags of GLM 4.5 without the newlines."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.glm_4_5 import ARG_PAIRS
from dragoman.dialects.spec import Calls, NameTag, Reasoning, Results, StopStrings

GLM_4_7 = Dialect(
    name="glm-4.7",
    reasoning=Reasoning(force_close="</think>", prompted=True),
    calls=Calls(carrier=NameTag(), codec=replace(ARG_PAIRS, between=""), padding="", between="", lead=""),
    stop_strings=StopStrings(("<|user|>", "<|observation|>", "<|endoftext|>")),
    results=Results("<tool_response>", "</tool_response>", between=""),
)
