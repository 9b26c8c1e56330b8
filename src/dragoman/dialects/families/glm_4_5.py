"""GLM 4.5 and 4.6: keys and values in pairs of tags, each on a line of its own.

The models write:

    <tool_call>add
    <arg_key>a</arg_key>
    <arg_value>1</arg_value>
    </tool_call>
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, NameTag, Reasoning, StopStrings, TaggedArguments

ARG_PAIRS = TaggedArguments("<arg_key>", "</arg_key>", "</arg_value>", value_open="<arg_value>")

GLM_4_5 = Dialect(
    name="glm-4.5",
    reasoning=Reasoning(force_close="</think>\n"),
    calls=Calls(carrier=NameTag(), codec=ARG_PAIRS, padding=""),
    stop_strings=StopStrings(("<|user|>", "<|observation|>", "<|endoftext|>")),
)
