"""Granite 4: the calls of Hermes; their arguments may be written as a JSON string."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, StopStrings

GRANITE_4 = Dialect(name="granite-4", calls=Calls(), stop_strings=StopStrings(("<|end_of_text|>",)))
