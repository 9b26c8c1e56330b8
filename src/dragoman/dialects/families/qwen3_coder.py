"""Qwen3-Coder: tagged parameters, with the values on lines of their own; no reasoning.

The models write:

    <tool_call>
    <function=add>
    <parameter=a>
    1
    </parameter>
    </function>
    </tool_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, StopStrings, TaggedArguments

QWEN_XML = Calls(
    ("<tool_call>", "<function="),
    ("</tool_call>",),
    NameTag("<function=", ">", close="</function>"),
    TaggedArguments("<parameter=", ">", "</parameter>", newline=True),
    lead="\n\n",
)

QWEN3_CODER = Dialect(name="qwen3-coder", calls=QWEN_XML, stop_strings=StopStrings(("<|im_end|>", "<|endoftext|>")))
