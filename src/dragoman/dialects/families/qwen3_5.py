"""Qwen3.5, 3.6 and 3.8: the calls of Qwen3-Coder, with reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.qwen3_coder import QWEN_XML
from dragoman.dialects.spec import Reasoning, StopStrings

QWEN3_5 = Dialect(
    name="qwen3.5",
    reasoning=Reasoning(prompted=True),
    calls=QWEN_XML,
    stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")),
)
