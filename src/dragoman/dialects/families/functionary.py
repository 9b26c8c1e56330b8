"""Functionary 3.2: every message has a recipient, a tool or `all`; Functionary 3.1: the name of a call is in its tag.

The models write:

    all                                                                         3.2
    I will look.>>>add
    {"a": 1}

    <function=add>{"a": 1}</function>                                           3.1
"""

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
