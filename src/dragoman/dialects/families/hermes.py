"""Hermes 2 and 3, Qwen2.5, and everybody who took over their format of calls. No reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, StopStrings

HERMES = Dialect(
    name="hermes", calls=Calls(), stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")), template="hermes.jinja"
)
