"""QwQ and the Qwen3 models that always reason: the calls of Hermes, and a prompt that opens the reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, StopStrings

QWQ = Dialect(
    name="qwq", reasoning=Reasoning(prompted=True), calls=Calls(), stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>"))
)
