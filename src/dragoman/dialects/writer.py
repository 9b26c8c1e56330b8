"""The writer of calls, results and tool descriptions, for chat templates that do not render them.

JSON keeps its key order and every character unescaped where possible, with a space after commas and colons: the form that the
models saw in training, and one that renders the same history to the same bytes every time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dragoman.conversation.types import Tool, ToolCall, ToolResult
from dragoman.dialects.spec import (
    Affixes,
    Calls,
    Codec,
    IdInName,
    IdKey,
    IdMark,
    Ids,
    JsonArguments,
    JsonKey,
    KeyIsName,
    NameTag,
    Recipient,
    Results,
    Syntax,
)
from dragoman.dialects.values.json_text import dumps

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

_EXAMPLE = {"an argument": "its value"}


class WrittenCall(NamedTuple):
    """A call to write: `arguments` as its codec writes them, `number` the call's index in the turn, from 0."""

    name: str
    arguments: str
    id: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer(Syntax):
    """Writes what the model would have written, and what it expects."""

    def encode_calls(self, calls: Sequence[ToolCall]) -> str:
        """The calls of one turn in their blocks; "" if the dialect has no calls."""
        if self.calls is None:
            return ""
        codec = self.calls.codec
        return self.write([WrittenCall(call.name, codec.write(call.input), call.id, n) for n, call in enumerate(calls)])

    def encode_turn(self, text: str, calls: Sequence[ToolCall]) -> str:
        """The text of a turn and the calls after it."""
        if self.calls is None or not calls:
            return text
        return text + (self.calls.lead if text else "") + self.encode_calls(calls)

    def encode_thinking(self, thought: str, text: str = "") -> str:
        """The reasoning between its tags; if a newline comes before the closer, one comes after the opener too."""
        reasoning = self.reasoning
        if reasoning is None or self.frame is not None:
            return ""
        before, closer, after = reasoning.force_close.partition(reasoning.closes[0])
        newline = "\n" if before.startswith("\n") else ""
        return reasoning.opens[0] + newline + thought + before + closer + (after if text or after.isspace() else "")

    def encode_results(self, results: Sequence[ToolResult]) -> str:
        """The results of a turn's calls, between the dialect's tags."""
        form = self.results
        written = (_result(form, result, place) for place, result in enumerate(results))
        return form.before + form.between.join(written) + form.after

    def encode_tools(self, tools: Sequence[Tool]) -> str:
        """An instruction that any model can follow: the tools, and an example of a call in the dialect."""
        calls = self.calls
        if calls is None or not tools:
            return ""
        tagged = isinstance(calls.carrier, JsonKey) and calls.open and calls.close
        return _TOOLS.format(
            descriptions="\n".join(dumps(tool.function) for tool in tools),
            example=self.write([WrittenCall("the function's name", calls.codec.write(_EXAMPLE))]),
            place=f"as one JSON object between {calls.open} and {calls.close}" if tagged else "in this very form",
            several="" if isinstance(calls.carrier, Recipient) else _SEVERAL,
        )

    def write(self, written: Sequence[WrittenCall]) -> str:
        """Calls with all their markup; `constraint` writes calls with placeholders."""
        calls, frame = self.calls, self.frame
        assert calls is not None
        if frame is not None:
            messages = [frame.call.format(name=call.name) + frame.header_end + _block(calls, [call]) for call in written]
            return frame.between.join(message + frame.call_end for message in messages)
        carrier, codec = calls.carrier, calls.codec
        together = carrier.many if isinstance(carrier, NameTag) else isinstance(codec, JsonArguments) and codec.array
        blocks = [_block(calls, written)] if together else [_block(calls, [call]) for call in written]
        section_open, section_close = (*calls.section_opens, "")[0], (*calls.section_closes, "")[0]
        return section_open + calls.between.join(blocks) + section_close


def _result(form: Results, result: ToolResult, place: int) -> str:
    known = {"{name}": result.name, "{id}": result.call_id, "{place}": str(place)}
    opened, closed = (
        re.sub(r"\{(?:name|id|place)\}", lambda found: known[found[0]], around) for around in (form.open, form.close)
    )
    return opened + (dumps(result.outcome) if form.json else result.outcome) + closed


def _block(calls: Calls, written: Sequence[WrittenCall]) -> str:
    """A block: one call, or several where the family writes them together."""
    match calls.carrier:
        case JsonKey() | KeyIsName() as carrier:
            codec = calls.json_codec
            body = ", ".join(_object(carrier, codec, calls.ids, call) for call in written)
            body = _fence(codec, f"[{body}]" if codec.array else body)
        case Affixes() as carrier:
            body = "".join(_name(carrier, calls.ids, call) + _fence(calls.codec, call.arguments) for call in written)
        case Recipient():
            body = "".join(call.arguments for call in written)
        case NameTag() as carrier:
            body = carrier.between.join(_tagged(carrier, call) for call in written)
            body = carrier.list_open + body + carrier.list_close
    return calls.open + calls.padding + body + calls.padding + calls.close


def _object(carrier: JsonKey | KeyIsName, codec: JsonArguments, ids: Ids | None, call: WrittenCall) -> str:
    """A call as a JSON object."""
    if isinstance(carrier, KeyIsName):
        return f"{{{dumps(call.name)}: {call.arguments}}}"
    members = [f'"{carrier.keys[0]}": {dumps(call.name)}', f'"{codec.keys[0]}": {call.arguments}']
    if isinstance(ids, IdKey):
        members.insert(0 if ids.first else len(members), f'"{ids.key}": "{_id(call, ids.length)}"')
    return "{" + ", ".join(members) + "}"


def _tagged(carrier: NameTag, call: WrittenCall) -> str:
    """A call as its name in a tag, and its arguments."""
    default = f'{carrier.attribute}="{{name}}"' if carrier.attribute else "{name}"
    inside = (carrier.inside or default).format(name=call.name, place=call.number, number=call.number + 1)
    head = carrier.before + carrier.open + carrier.prefix + inside + carrier.end
    return head + call.arguments + carrier.close + carrier.after


def _name(carrier: Affixes, ids: Ids | None, call: WrittenCall) -> str:
    """The part of a call before its arguments: the name, and the id if the family writes one."""
    written = carrier.prefix + call.name
    match ids:
        case IdInName(mark=mark):
            numbered = re.fullmatch(f"{re.escape(written + mark)}[0-9]+", call.id)
            written = numbered.group() if numbered else f"{written}{mark}{call.number}"
        case IdMark(mark, length) if length:
            written += mark + _id(call, length)
    return written + carrier.suffix


def _id(call: WrittenCall, length: int) -> str:
    """The call's id as the family writes it."""
    return short_id(call.id, length) if length else str(call.number)


def short_id(identifier: str, length: int) -> str:
    """An id of `length` letters and digits, the same one for the same identifier."""
    return re.sub("[^a-zA-Z0-9]", "", identifier)[-length:].rjust(length, "0")


def _fence(codec: Codec, body: str) -> str:
    return f"```json\n{body}\n```" if isinstance(codec, JsonArguments) and codec.fenced else body
