"""ERNIE 4.5 Thinking: the calls of Hermes, and `<response>` tags around the answer."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, StopStrings, Wrapper

ERNIE_4_5 = Dialect(
    name="ernie-4.5",
    reasoning=Reasoning(prompted=True),
    wrapper=Wrapper(("<response>", "</response>")),
    calls=Calls(),
    stop_strings=StopStrings(("</s>", "<|im_end|>")),
)
