"""SmolLM3: Hermes calls; its template does not render them, so the encoder does."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, Terminals

SMOLLM3 = Dialect(name="smollm3", reasoning=Reasoning(), calls=Calls(), terminals=Terminals(("<|im_end|>",)))
