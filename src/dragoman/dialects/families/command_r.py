"""Cohere's Command models, from R+ to A: an array of calls; from R7B on with ids, reasoning, and tags around the answer.

The models write:

    Action:                                                                     R+: in a Markdown fence
    ```json
    [{"tool_name": "add", "parameters": {"a": 1}}]
    ```

    <|START_ACTION|>[{"tool_call_id": "0", "tool_name": "add", "parameters": {"a": 1}}]<|END_ACTION|>
"""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, IdKey, JsonArguments, JsonKey, Reasoning, Results, StopStrings, Wrapper

_END = StopStrings(("<|END_OF_TURN_TOKEN|>",), citations=("<co>", "</co>", "<co: ", "</co: "))

COMMAND_R_PLUS = Dialect(
    name="command-r-plus",
    calls=Calls(
        ("Action:",),
        (),
        carrier=JsonKey(("tool_name", "name")),
        codec=JsonArguments(("parameters", "arguments"), array=True, fenced=True),
        padding="\n",
    ),
    stop_strings=_END,
    results=Results("", "", before="<results>\n", after="</results>"),
)

COMMAND_R7B = Dialect(
    name="command-r7b",
    hints=("<|START_RESPONSE|>",),
    reasoning=Reasoning(("<|START_THINKING|>",), ("<|END_THINKING|>",), force_close="<|END_THINKING|><|START_RESPONSE|>"),
    wrapper=Wrapper(("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")),
    calls=Calls(
        ("<|START_ACTION|>",),
        ("<|END_ACTION|>",),
        carrier=JsonKey(("tool_name", "name")),
        codec=JsonArguments(("parameters", "arguments"), array=True),
        ids=IdKey("tool_call_id", first=True),
        padding="",
        lead="",
    ),
    stop_strings=_END,
    results=Results(
        '{"tool_call_id": "{place}", "results": {"0": ',
        '}, "is_error": null}',
        ", ",
        "<|START_TOOL_RESULT|>[",
        "]<|END_TOOL_RESULT|>",
        json=True,
    ),
)

COMMAND_A_2026 = replace(
    COMMAND_R7B,
    name="command-a-2026",
    hints=("<|START_TEXT|>", "<|START_ACTION|>"),
    reasoning=Reasoning(
        ("<|START_THINKING|>",), ("<|END_THINKING|>",), force_close="<|END_THINKING|><|START_TEXT|>", prompted=True
    ),
)
