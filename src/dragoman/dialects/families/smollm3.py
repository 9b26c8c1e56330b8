"""SmolLM3: the calls of Hermes; its template does not render calls, so `writer` does."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, StopStrings

SMOLLM3 = Dialect(
    name="smollm3",
    hints=("named SmolLM", "no_think"),
    reasoning=Reasoning(force_close="\n</think>\n"),
    calls=Calls(),
    stop_strings=StopStrings(("<|im_end|>",)),
)
