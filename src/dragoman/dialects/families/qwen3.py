"""Qwen3, the hybrid models: the calls of Hermes, and reasoning that the template can switch off."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, StopStrings

QWEN3 = Dialect(
    name="qwen3",
    reasoning=Reasoning(),
    calls=Calls(),
    stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")),
    template="qwen3.jinja",
)
