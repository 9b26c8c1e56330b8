"""Mistral: an array of calls up to v7 of its tokenizer, a name and its arguments from v11 on.

    [TOOL_CALLS][{"name": "add", "arguments": {"a": 1}, "id": "a1b2c3d4e"}]     v3
    [TOOL_CALLS]add[CALL_ID]a1b2c3d4e[ARGS]{"a": 1}                             v11
    [THINK]reasoning[/THINK][TOOL_CALLS]add[ARGS]{"a": 1}                       Magistral and Ministral 3

The newer ones read the array as well. Magistral and Ministral 3 write about calls in their reasoning: those are not calls.
"""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Affixes, Calls, CallsInside, IdKey, IdMark, JsonArguments, Reasoning, Results, StopStrings

_ARRAY = Calls(("[TOOL_CALLS]",), (), codec=JsonArguments(array=True), ids=IdKey(length=9), padding="", lead="")
_NAMED = Calls(
    ("[TOOL_CALLS]",), (), carrier=Affixes(suffix="[ARGS]"), ids=IdMark("[CALL_ID]"), padding="", between="", lead=""
)

MISTRAL_V3 = Dialect(
    name="mistral-v3",
    hints=("[TOOL_CALLS]",),
    calls=_ARRAY,
    stop_strings=StopStrings(("</s>",)),
    results=Results('[TOOL_RESULTS]{"content": ', ', "call_id": "{id}"}[/TOOL_RESULTS]', between="", json=True),
)

MISTRAL_V11 = Dialect(
    name="mistral-v11",
    hints=("[TOOL_CALLS]", "[ARGS]"),
    calls=_NAMED,
    also=(_ARRAY,),
    stop_strings=StopStrings(("</s>",)),
    results=Results("[TOOL_RESULTS]", "[/TOOL_RESULTS]", between=""),
)

MINISTRAL3 = replace(
    MISTRAL_V11,
    name="ministral3",
    hints=("[TOOL_CALLS]", "[ARGS]", "[THINK]"),
    reasoning=Reasoning(("[THINK]",), ("[/THINK]",), force_close="[/THINK]", calls_inside=CallsInside.TENTATIVE),
    calls=replace(_NAMED, ids=IdMark("[CALL_ID]", length=0)),
)

MAGISTRAL = replace(MINISTRAL3, name="magistral")
