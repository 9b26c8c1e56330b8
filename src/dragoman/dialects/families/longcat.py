"""LongCat: the calls of Hermes between `<longcat_tool_call>` tags."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, StopStrings

LONGCAT = Dialect(
    name="longcat",
    hints=("<longcat_tool_call>",),
    calls=Calls(opens=("<longcat_tool_call>",), closes=("</longcat_tool_call>",), padding=""),
    stop_strings=StopStrings(("</longcat_s>",)),
)
