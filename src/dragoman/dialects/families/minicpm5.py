"""MiniCPM 5: tagged parameters, whose values may be CDATA: `<function name="add"><param name="a">1</param></function>`."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings, TaggedArguments

MINICPM5 = Dialect(
    name="minicpm5",
    reasoning=Reasoning(),
    calls=Calls(
        ("<function ",),
        ("</function>",),
        NameTag(end=">", attribute="name"),
        TaggedArguments("<param ", ">", "</param>", "name", between="", quotes=("<![CDATA[", "]]>")),
        padding="",
    ),
    stop_strings=StopStrings(("<|im_end|>",)),
)
