"""A dialect: calls as JSON between tags of their own."""

from dragoman import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning

EXAMPLE = Dialect(
    name="example",
    hints=("<example_call>",),
    reasoning=Reasoning(opens=("<think>",), closes=("</think>",)),
    calls=Calls(("<example_call>",), ("</example_call>",), codec=JsonArguments()),
)
