"""Nemotron 3: the calls of Qwen3-Coder, with reasoning."""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.qwen3_coder import QWEN_XML
from dragoman.dialects.spec import Reasoning, StopStrings

NEMOTRON_3 = Dialect(
    name="nemotron-3",
    reasoning=Reasoning(force_close="\n</think>\n", prompted=True),
    calls=replace(QWEN_XML, lead="\n"),
    stop_strings=StopStrings(("<|im_end|>",)),
)
