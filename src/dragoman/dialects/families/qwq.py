"""QwQ and the Qwen3 models that always think: the prompt opens the reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, Terminals

QWQ = Dialect(name="qwq", reasoning=Reasoning(), calls=Calls(), terminals=Terminals(("<|im_end|>", "<|endoftext|>")))
