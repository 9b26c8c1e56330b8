"""The way back: calls, results and tools as text, for templates that lose them.

JSON keeps the key order it came in and every character as itself, with a space behind commas and colons: what the models saw
in training, and what makes a history that is rendered twice the same bytes twice.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dragoman.conversation.types import Tool, ToolCall, ToolResult
from dragoman.dialects.spec import (
    Affixes,
    Calls,
    IdInName,
    IdKey,
    IdMark,
    Ids,
    JsonArguments,
    JsonKey,
    KeyIsName,
    NameTag,
    Recipient,
    Syntax,
)
from dragoman.dialects.tag_encoder import write_arguments, write_calls

_TOOLS = """\
# Tools

You can call the functions listed here, one JSON description per line between <tools> and </tools>:
<tools>
{descriptions}
</tools>

To call a function, write its name and its arguments {place}, like this:
{example}
{several}The results come back in the next message. \
If no function is needed, answer in plain words."""

_SEVERAL = "Call several functions by writing several such blocks. "


def encode_calls(syntax: Syntax, calls: Sequence[ToolCall]) -> str:
    """The calls of one turn, blocks and all; "" where the syntax has no calls."""
    if syntax.calls is None:
        return ""
    return write(syntax, [Written(call.name, _arguments(syntax.calls, call.input), call.id, n) for n, call in enumerate(calls)])


def encode_result(syntax: Syntax, result: ToolResult) -> str:
    """The result of a call, in the syntax's tags."""
    return syntax.results.open + result.outcome + syntax.results.close


def encode_tools(syntax: Syntax, tools: Sequence[Tool]) -> str:
    """An instruction that any model can follow: the tools, and the syntax to call them in."""
    calls = syntax.calls
    if calls is None or not tools:
        return ""
    tagged = isinstance(calls.carrier, JsonKey) and calls.open and calls.close
    return _TOOLS.format(
        descriptions="\n".join(_dumps(tool.function) for tool in tools),
        example=write(syntax, [Written("the function's name", _arguments(calls, _EXAMPLE))]),
        place=f"as one JSON object between {calls.open} and {calls.close}" if tagged else "in this very form",
        several="" if isinstance(calls.carrier, Recipient) else _SEVERAL,
    )


class Written(NamedTuple):
    """A call to write: `arguments` as its codec writes them, `number` its place in the turn, from 0."""

    name: str
    arguments: str
    id: str = ""
    number: int = 0


_EXAMPLE = {"an argument": "its value"}


def _arguments(calls: Calls, arguments: Mapping[str, Any]) -> str:
    return _dumps(arguments) if isinstance(calls.codec, JsonArguments) else write_arguments(calls.codec, arguments)


def write(syntax: Syntax, written: Sequence[Written]) -> str:
    """Calls with all that stands around them; `constraint` writes some with holes."""
    calls, frame = syntax.calls, syntax.frame
    assert calls is not None
    if frame is not None:
        messages = [frame.call.format(name=call.name) + frame.header_end + _block(calls, [call]) for call in written]
        return frame.between.join(message + frame.call_end for message in messages)
    together = (
        calls.codec.array
        if isinstance(calls.codec, JsonArguments)
        else isinstance(calls.carrier, NameTag) and calls.carrier.many
    )
    blocks = [_block(calls, written)] if together else [_block(calls, [call]) for call in written]
    section_open, section_close = (*calls.section_opens, "")[0], (*calls.section_closes, "")[0]
    return section_open + calls.between.join(blocks) + section_close


def _block(calls: Calls, written: Sequence[Written]) -> str:
    """A block: one call, or an array of them."""
    match calls.carrier, calls.codec:
        case (JsonKey() | KeyIsName()) as carrier, JsonArguments() as codec:
            body = ", ".join(_object(carrier, codec, calls.ids, call) for call in written)
            body = _fence(codec, f"[{body}]" if codec.array else body)
        case Affixes() as carrier, JsonArguments() as codec:
            body = "".join(_name(carrier, calls.ids, call) + _fence(codec, call.arguments) for call in written)
        case Recipient(), JsonArguments():
            body = "".join(call.arguments for call in written)
        case NameTag() as carrier, _:
            body = write_calls(calls, carrier, [(call.name, call.arguments, call.number) for call in written])
    return calls.open + calls.padding + body + calls.padding + calls.close


def _object(carrier: JsonKey | KeyIsName, codec: JsonArguments, ids: Ids | None, call: Written) -> str:
    """A call as a JSON object."""
    if isinstance(carrier, KeyIsName):
        return f"{{{_dumps(call.name)}: {call.arguments}}}"
    members = [f'"{carrier.keys[0]}": {_dumps(call.name)}', f'"{codec.keys[0]}": {call.arguments}']
    if isinstance(ids, IdKey):
        members.insert(0 if ids.first else len(members), f'"{ids.key}": "{_id(call, ids.length)}"')
    return "{" + ", ".join(members) + "}"


def _name(carrier: Affixes, ids: Ids | None, call: Written) -> str:
    """A call's name, and its id where there is one, in front of its arguments."""
    written = carrier.prefix + call.name
    match ids:
        case IdInName(mark):
            numbered = re.fullmatch(f"{re.escape(written + mark)}[0-9]+", call.id)
            written = numbered.group() if numbered else f"{written}{mark}{call.number}"
        case IdMark(mark, length) if length:
            written += mark + _id(call, length)
    return written + carrier.suffix


def _id(call: Written, length: int) -> str:
    """The call's id as the wire has it: the same for the same id."""
    return re.sub("[^a-zA-Z0-9]", "", call.id)[-length:].rjust(length, "0") if length else str(call.number)


def _fence(codec: JsonArguments, body: str) -> str:
    return f"```json\n{body}\n```" if codec.fenced else body


def _dumps(value: Mapping[str, Any] | str) -> str:
    return json.dumps(value, ensure_ascii=False)
