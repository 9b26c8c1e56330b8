"""Hermes 2 and 3, Qwen2.5, and the models that adopted their format of calls; no reasoning.

The models write:

    <tool_call>
    {"name": "add", "arguments": {"a": 1}}
    </tool_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, StopStrings

HERMES = Dialect(
    name="hermes", calls=Calls(), stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")), template="hermes.jinja"
)
