"""Two dialects: calls as JSON between tags of their own, and calls in a notation of their own (`codec`)."""

from dragoman import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, NameTag, Reasoning
from dragoman_example.codec import LineArguments

EXAMPLE = Dialect(
    name="example",
    hints=("<example_call>",),
    reasoning=Reasoning(opens=("<think>",), closes=("</think>",)),
    calls=Calls(("<example_call>",), ("</example_call>",), codec=JsonArguments()),
)

LINES = Dialect(
    name="example-lines",
    hints=("<line_call>",),
    calls=Calls(("<line_call>",), ("</line_call>",), NameTag(end="\n"), LineArguments(), padding=""),
)
