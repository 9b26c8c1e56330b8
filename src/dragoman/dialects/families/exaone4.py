"""EXAONE 4: the calls of Hermes without the newlines inside the tags."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Reasoning, StopStrings

EXAONE4 = Dialect(
    name="exaone4", reasoning=Reasoning(prompted=True), calls=Calls(padding=""), stop_strings=StopStrings(("[|endofturn|]",))
)
