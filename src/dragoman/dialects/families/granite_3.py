"""Granite 3: an array of calls; 3.2 reasons between two sentences, 3.3 between tags.

The models write:

    <|tool_call|>[{"name": "add", "arguments": {"a": 1}}]
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, StopStrings, Wrapper

_OPENS = ("Here is my thought process:", "Here's my thought process:")
_CLOSES = ("Here is my response:", "Here's my response:")

GRANITE_3 = Dialect(
    name="granite-3",
    hints=("<|start_of_role|>", "<|tool_call|>"),
    reasoning=Reasoning(
        ("<think>", *_OPENS), ("</think>", *_CLOSES), force_close="</think><response>", word_like_markers=(*_OPENS, *_CLOSES)
    ),
    wrapper=Wrapper(("<response>", "</response>")),
    calls=Calls(("<|tool_call|>",), (), codec=JsonArguments(array=True), padding=""),
    also=(Calls(codec=JsonArguments(array=True)),),
    stop_strings=StopStrings(("<|end_of_text|>",)),
)
