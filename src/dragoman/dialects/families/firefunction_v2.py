"""FireFunction v2: a word and an array of calls: ` functools[{"name": "add", "arguments": {"a": 1}}]`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, StopStrings

FIREFUNCTION_V2 = Dialect(
    name="firefunction-v2",
    calls=Calls((" functools", "functools"), (), codec=JsonArguments(array=True), padding=""),
    stop_strings=StopStrings(("<|eot_id|>",)),
)
