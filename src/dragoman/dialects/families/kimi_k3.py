"""Kimi K3: everything is in tags that are made of special tokens.

The models write:

    <|open|>tools<|sep|><|open|>call tool="add" index="1"<|sep|>
    <|open|>argument key="a" type="number"<|sep|>1<|close|>argument<|sep|>      without the line breaks
    <|close|>call<|sep|><|close|>tools<|sep|>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings, TaggedArguments, Wrapper

KIMI_K3 = Dialect(
    name="kimi-k3",
    reasoning=Reasoning(
        opens=("<|open|>think<|sep|>",),
        closes=("<|close|>think<|sep|>", "<|open|>response<|sep|>"),
        force_close="<|close|>think<|sep|><|open|>response<|sep|>",
        prompted=True,
    ),
    wrapper=Wrapper(("<|close|>response<|sep|>", "<|open|>message<|sep|>", "<|close|>message<|sep|>", "<|end_of_msg|>")),
    calls=Calls(
        ("<|open|>tools<|sep|>", "<|open|>call "),
        ("<|close|>tools<|sep|>",),
        NameTag(
            "<|open|>call ",
            "<|sep|>",
            "tool",
            "<|close|>call<|sep|>",
            inside='tool="{name}" index="{number}"',
            many=True,
            between="",
        ),
        TaggedArguments("<|open|>argument ", "<|sep|>", "<|close|>argument<|sep|>", "key", type_attribute="type", between=""),
        padding="",
        lead="<|close|>response<|sep|>",
    ),
    stop_strings=StopStrings(("<|end_of_msg|>",)),
)
