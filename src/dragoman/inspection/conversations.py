"""The conversations that inspection renders: turns, tools and calls, in each form that a template may need.

Every text in them is a marker that occurs nowhere else, so that it is found in the rendered text. `TOOL` is as simple as a tool
can be; `TOOLS` and `CALLS` have a value of every JSON type.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from dragoman.conversation.types import JsonObject, Tool, ToolCall
from dragoman.prompt.profile import CallIds

Message = dict[str, Any]

WORDS: Final = "Aq2"
THOUGHT: Final = "Rq6"
USER: Final[Message] = {"role": "user", "content": "Uq1"}
ANSWER: Final[Message] = {"role": "assistant", "content": WORDS}
NEXT_USER: Final[Message] = {"role": "user", "content": "Uq8"}
SYSTEM: Final[Message] = {"role": "system", "content": "Sq7"}

TOOL: Final = Tool(
    "probe_tool",
    "Dq3",
    {"type": "object", "properties": {"pq4": {"type": "string", "description": "Dq4"}}, "required": ["pq4"]},
)
_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where to look."},
        "depth": {"type": "integer", "description": "How deep to look."},
        "hidden": {"type": "boolean", "description": "Whether hidden ones count."},
        "filter": {
            "type": "object",
            "description": "What to look for.",
            "properties": {
                "kind": {"type": "string", "description": "Their kind."},
                "sizes": {"type": "array", "items": {"type": "integer"}, "description": "Their sizes."},
            },
            "additionalProperties": {},
        },
    },
    "required": ["path"],
}
TOOLS: Final = (
    Tool("find_files", "Finds files.", _PARAMETERS),
    Tool("get_time", "Tells the time.", {"type": "object", "properties": {}}),
)

_IDS: Final = {CallIds.UNSEEN: "toolu_idq{}x", CallIds.NINE: "idq1idq{}a", CallIds.NUMBERED: "functions.{name}:{}"}
FORMS_OF_IDS: Final = tuple(_IDS)
"""The forms of call ids that templates may need, the most usual first."""


def call_id(form: CallIds, place: int, name: str = TOOL.name) -> str:
    """The id, in that form, of the call at this index."""
    return _IDS[form].format(place, name=name)


CALLS: Final = (
    ToolCall(
        call_id(CallIds.NINE, 0),
        "find_files",
        {"path": 'say "hi" \\d ã', "depth": 3, "hidden": True, "filter": {"kind": "text", "sizes": [1, 20]}},
    ),
    ToolCall(call_id(CallIds.NINE, 1), "get_time", {}),
)


def probe_calls(form: CallIds, count: int = 1) -> list[ToolCall]:
    """Calls of `TOOL` with ids in that form; the value in the first is Vq50, in the second Vq51."""
    return [ToolCall(call_id(form, place), TOOL.name, {"pq4": f"Vq5{place}"}) for place in range(count)]


def call_turn(calls: Sequence[ToolCall], content: Any = "", /, *, string_arguments: bool = False, **fields: Any) -> Message:
    """An assistant turn with calls, whose arguments are an object or its JSON text."""
    called = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.dumps(call.input, ensure_ascii=False) if string_arguments else call.input,
            },
        }
        for call in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": called, **fields}


def result_turn(identifier: str, words: str = "Oq9") -> Message:
    """A tool turn with the result of the call of `TOOL` with this id."""
    return {"role": "tool", "tool_call_id": identifier, "name": TOOL.name, "content": words}


def typed(messages: Sequence[Message]) -> list[Message]:
    """The messages with their texts as typed parts, as the templates of some vision models need them."""
    return [
        message | {"content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]
