"""Short builders for conversations."""

from collections.abc import Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

from dragoman.conversation import AnswerPolicy, Conversation, Dialogue, Role, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from dragoman.conversation.types import Content

READ = Tool("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}, "at": {"type": "integer"}}})
NOW = Tool("now", "", {"type": "object"})


def user(*content: Content | str) -> Turn:
    """A user turn; strings are text."""
    return _turn(Role.USER, content)


def assistant(*content: Content | str) -> Turn:
    """An assistant turn."""
    return _turn(Role.ASSISTANT, content)


def system(*content: Content | str) -> Turn:
    """A late system turn."""
    return _turn(Role.SYSTEM, content)


def _turn(role: Role, content: Sequence[Content | str]) -> Turn:
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in content))


def conversation_of(*turns: Turn, top: Sequence[str] = (), tools: Sequence[Tool] = ()) -> Conversation:
    """A conversation with these turns, `top` as its system blocks."""
    dialogue = Dialogue(turns=turns, system=tuple(map(Text, top)), tools=tools)
    return Conversation(dialogue, AnswerPolicy(tools=tools, max_tokens=16))


def changed(conversation: Conversation, **fields: Any) -> Conversation:
    """The conversation with other fields of its dialogue and its policy; `tools` are those of both."""
    names = {field.name for field in dataclass_fields(Dialogue)}
    dialogue = {name: value for name, value in fields.items() if name in names}
    policy = {name: value for name, value in fields.items() if name not in names or name == "tools"}
    return Conversation(replace(conversation.dialogue, **dialogue), replace(conversation.policy, **policy))


LOOP = (
    user("What does a.txt say?"),
    assistant(Thinking("I must look."), "I look.", ToolCall("a", "read", {"path": "a.txt", "at": 1}), ToolCall("b", "now", {})),
    user(ToolResult.of_text("a", "read", "hello"), ToolResult.of_text("b", "now", "no clock", is_error=True)),
)
"""A running tool loop."""
