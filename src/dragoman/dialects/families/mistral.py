"""Mistral: up to v7 of its tokenizer an array of calls, from v11 a name and its arguments; the id is written in v3 to v11.

The newer ones read the array too. Magistral and Ministral 3 reason, and write about calls while they do: those are none.
"""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Affixes, Calls, IdKey, IdMark, JsonArguments, Reasoning, Results, StopStrings

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
    reasoning=Reasoning(("[THINK]",), ("[/THINK]",), force_close="[/THINK]", ended_by_call=False),
    calls=replace(_NAMED, ids=IdMark("[CALL_ID]", length=0)),
)

MAGISTRAL = replace(MINISTRAL3, name="magistral")
