"""Apriel 1.5 and 1.6: the prompt opens the reasoning with a sentence, and only its end has a marker.

The models write:

    reasoning
    [BEGIN FINAL RESPONSE]
    <tool_calls>[{"name": "add", "arguments": {"a": 1}}]</tool_calls>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, StopStrings

APRIEL = Dialect(
    name="apriel",
    reasoning=Reasoning(
        opens=("Here are my reasoning steps:",),
        closes=("[BEGIN FINAL RESPONSE]",),
        force_close="\n[BEGIN FINAL RESPONSE]\n",
        prompted=True,
        word_like_markers=("Here are my reasoning steps:",),
    ),
    calls=Calls(("<tool_calls>",), ("</tool_calls>",), codec=JsonArguments(array=True), padding=""),
    stop_strings=StopStrings(("<|end|>",)),
)
