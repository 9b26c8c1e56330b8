"""Statistics of the content of a request by kind, to see what makes a prompt long."""

from collections.abc import Iterator, Mapping

import msgspec

from dragoman.conversation import Attachment, Conversation, Image, Role, Text, Thinking, Tool, ToolCall, ToolResult
from dragoman.conversation.citations import CitedText
from dragoman.conversation.once import once
from dragoman.conversation.types import Content
from dragoman.observability.log_entry import Volume


def content_statistics(conversation: Conversation) -> Mapping[str, Volume]:
    """Return the number of parts and their characters by kind, in the order of appearance.

    `system` counts the system prompt's blocks and system turns, `tools` all declarations, including deferred ones. Content
    that is not text is measured as JSON.
    """
    found: dict[str, Volume] = {}
    for kind, characters in _content(conversation):
        found[kind] = found.get(kind, Volume(0, 0)) + Volume(1, characters)
    return found


def _content(conversation: Conversation) -> Iterator[tuple[str, int]]:
    dialogue = conversation.dialogue
    yield from (("system", len(block.text)) for block in dialogue.system)
    listed = {tool.name for tool in dialogue.tools}
    described_later = (tool for tool in conversation.policy.tools if tool.name not in listed)
    yield from (("tools", _tool_size(tool)) for tool in (*dialogue.tools, *described_later))
    for turn in dialogue.turns:
        for part in turn.content:
            kind, characters = _measured(part)
            yield ("system" if turn.role is Role.SYSTEM else kind), characters


@once
def _measured(part: Content) -> tuple[str, int]:
    match part:
        case Text(text):
            return "text", len(text)
        case Thinking(text):
            return "thinking", len(text)
        case ToolCall():
            return "tool_use", _size({"name": part.name, "input": part.input})
        case ToolResult():
            return "tool_result", len(part.text)
        case CitedText():
            return "text", sum(len(text) for text, _ in part.pieces)
        case Image():
            return "image", 0
        case Attachment():
            return part.kind.value, 0


@once
def _tool_size(tool: Tool) -> int:
    return _size(tool.function["function"])


def _size(value: object) -> int:
    return len(msgspec.json.encode(value, enc_hook=str))
