"""The way back: calls, results and tools as text, for templates that lose them.

JSON keeps the key order it came in and every character as itself, with a space behind commas and colons: what the models saw
in training, and what makes a history that is rendered twice the same bytes twice.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dragoman.conversation.types import Tool, ToolCall, ToolResult
from dragoman.dialects.spec import Calls, JsonArguments, JsonKey, Syntax

_TOOLS = """\
# Tools

You can call the functions listed here, one JSON description per line between <tools> and </tools>:
<tools>
{descriptions}
</tools>

To call a function, write its name and its arguments as one JSON object between {open} and {close}, like this:
{example}
Call several functions by writing several such blocks. The results come back in the next message. \
If no function is needed, answer in plain words."""


def encode_calls(syntax: Syntax, calls: Sequence[ToolCall]) -> str:
    """The calls of one turn, blocks and all; "" where the syntax has no calls."""
    if syntax.calls is None:
        return ""
    return _write(syntax.calls, [(call.name, _dumps(call.input)) for call in calls])


def encode_result(syntax: Syntax, result: ToolResult) -> str:
    """The result of a call. The formats have no mark for a failure, so it is said in a word."""
    text = f"Error: {result.text}" if result.is_error else result.text
    return syntax.results.open + text + syntax.results.close


def encode_tools(syntax: Syntax, tools: Sequence[Tool]) -> str:
    """An instruction that any model can follow: the tools, and the syntax to call them in."""
    if syntax.calls is None or not tools:
        return ""
    return _TOOLS.format(
        descriptions="\n".join(_dumps(_describe(tool)) for tool in tools),
        open=syntax.calls.open,
        close=syntax.calls.close,
        example=_write(syntax.calls, [("the function's name", '{"an argument": "its value"}')]),
    )


def _write(calls: Calls, written: Sequence[tuple[str, str]]) -> str:
    """Blocks of calls, each given as its name and the JSON text of its arguments."""
    match calls.carrier, calls.codec:
        case JsonKey() as carrier, JsonArguments() as codec:
            bodies = [f'{{"{carrier.keys[0]}": {_dumps(name)}, "{codec.keys[0]}": {arguments}}}' for name, arguments in written]
            if codec.array:
                bodies = [f"[{', '.join(bodies)}]"]
    return calls.between.join(calls.open + calls.padding + body + calls.padding + calls.close for body in bodies)


def _describe(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _dumps(value: Mapping[str, Any] | str) -> str:
    return json.dumps(value, ensure_ascii=False)
