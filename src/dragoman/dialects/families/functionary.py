"""Functionary: 3.2 addresses each message, to a tool or to `all`; 3.1 puts a call's name in its tag."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Affixes, Calls, Frame, JsonArguments, Recipient, StopStrings

_END = StopStrings(("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"))

FUNCTIONARY = Dialect(
    name="functionary",
    frame=Frame(
        starts=(">>>",),
        header_end="\n",
        ends=(),
        recipient=r"\A\s*(?:>>>)?(\S+)\s*\Z",
        thinking="(?!)",
        known=r"\A\s*(?:>>>)?all\s*\Z",
        unended="(?!)",
        call="{name}",
        call_end="",
        between=">>>",
        text="all",
    ),
    calls=Calls((), (), carrier=Recipient(), codec=JsonArguments(raw=True), padding=""),
    stop_strings=_END,
)

FUNCTIONARY_3_1 = Dialect(
    name="functionary-3.1",
    calls=Calls(("<function=",), ("</function>",), carrier=Affixes(suffix=">"), padding="", between="", lead=""),
    stop_strings=_END,
)
