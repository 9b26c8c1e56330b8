"""xLAM: an array of calls, without tags, in a fence, or between the tags of other families.

The models write:

    [{"name": "add", "arguments": {"a": 1}}]
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, StopStrings

_ARRAY = JsonArguments(array=True)

XLAM = Dialect(
    name="xlam",
    reasoning=Reasoning(),
    calls=Calls((), (), codec=_ARRAY, padding="", bare="{[`"),
    also=(
        Calls(("```json",), (), codec=_ARRAY),
        Calls(("[TOOL_CALLS]",), (), codec=_ARRAY),
        Calls(("<tool_call>",), ("</tool_call>",), codec=_ARRAY),
    ),
    stop_strings=StopStrings(("<|im_end|>", "<|eot_id|>", "</s>")),
)
