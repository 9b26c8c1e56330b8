"""Granite 20B function calling: an opener without a closer: `<function_call> {"name": "add", "arguments": {"a": 1}}`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, StopStrings

GRANITE_20B_FC = Dialect(
    name="granite-20b-fc", calls=Calls(("<function_call>",), (), padding=" "), stop_strings=StopStrings(("<|endoftext|>",))
)
