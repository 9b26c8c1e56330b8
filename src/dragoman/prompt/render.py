"""From a conversation to the text of its prompt.

The template renders what the probe found it can. What it cannot is done around it, always in the same way, in the same place:

- no system turn at the top: its text stands in front of the first user turn;
- no late system turn: its text stands at the end of the user turn before it, between `<system>` and `</system>`, behind any
  tool results and never at the top (REQ-11, REQ-12);
- no tools, calls or results: the dialect writes them as text, the tools behind the system text;
- a final assistant turn is a prefill: its text follows the generation prompt, and the answer goes on from there (PRE-1).

A prompt is append-only: what is rendered for turn n is not rendered differently because turn n+1 came; nothing looks ahead.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.conversation import Conversation, Role, Text, Thinking, ToolCall, ToolResult, Turn
from dragoman.dialects import Dialect
from dragoman.prompt import volatile
from dragoman.prompt.probe import Traits
from dragoman.prompt.shield import shield
from dragoman.prompt.template import ChatTemplate

_PARAGRAPH = "\n\n"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt's text, and in words what was removed, moved or written by the dialect.

    `mark` stands in the text wherever a client spelled a control token, and is empty where none did.
    """

    text: str
    notes: Sequence[str]
    mark: str = ""


class Renderer:
    """Renders for one model: its template, what the probe found, its dialect."""

    def __init__(self, template: ChatTemplate, traits: Traits, dialect: Dialect) -> None:
        self._template = template
        self.traits = traits
        self.dialect = dialect

    def render(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """`spelled` are the control tokens that the client's text spells. Raises `TemplateRefusal`."""
        conversation, mark = shield(conversation, spelled)
        notes: list[str] = []
        turns = list(conversation.turns)
        prefill = self._prefill(turns.pop(), notes) if turns[-1].role is Role.ASSISTANT else ""
        text = self._template.render(self._messages(conversation, turns, notes), **self._variables(conversation))
        if prefill and self.dialect.thinking_open(text):
            text += self.dialect.close_thinking
        return Rendered(text + prefill, notes, mark)

    def _prefill(self, turn: Turn, notes: list[str]) -> str:
        if any(isinstance(part, Thinking) for part in turn.content):
            notes.append("removed: thinking in a prefilled turn")
        return _texts(turn)

    def _variables(self, conversation: Conversation) -> dict[str, Any]:
        variables: dict[str, Any] = {}
        if conversation.tools and self.traits.tools:
            variables["tools"] = [tool.function for tool in conversation.tools]
        if self.traits.thinking_switch:
            variables[self.traits.thinking_switch] = conversation.thinking.enabled
        if conversation.thinking.effort:
            variables["reasoning_effort"] = conversation.thinking.effort
        return variables

    def _messages(self, conversation: Conversation, turns: Iterable[Turn], notes: list[str]) -> list[Message]:
        messages: list[Message] = []
        top = self._system(conversation, notes)
        if top and self.traits.system:
            messages.append({"role": "system", "content": top})
            top = ""
        for turn in turns:
            match turn.role:
                case Role.USER:
                    messages.extend(self._user(turn, top))
                    top = ""
                case Role.ASSISTANT:
                    messages.append(self._assistant(turn))
                case Role.SYSTEM:
                    self._late_system(messages, _texts(turn), notes)
        if top:  # nobody spoke yet: an assistant's prefill stands alone
            messages.append({"role": "user", "content": top})
        return messages

    def _system(self, conversation: Conversation, notes: list[str]) -> str:
        blocks, rule = volatile.strip(conversation.system)
        if rule:
            notes.append(f"removed: system block 1 ({rule})")
        paragraphs = [block.text for block in blocks]
        if conversation.tools and not self.traits.tools:
            paragraphs.append(self.dialect.encode_tools(conversation.tools))
            notes.append(f"encoded: {len(conversation.tools)} tools, as the template knows none")
        return _PARAGRAPH.join(paragraphs)

    def _user(self, turn: Turn, top: str) -> Iterable[Message]:
        """Results first, as turns of their own where the template has such turns; then the words."""
        results = [part for part in turn.content if isinstance(part, ToolResult)]
        words = _texts(turn)
        if self.traits.results:
            for result in results:
                yield {"role": "tool", "tool_call_id": result.call_id, "name": result.name, "content": result.outcome}
            paragraphs = [words] if words or not results else []
        else:
            encoded = "\n".join(self.dialect.encode_result(result) for result in results)
            paragraphs = [text for text in (encoded, words) if text]
        if top:
            paragraphs.insert(0, top)
        if paragraphs:
            yield {"role": "user", "content": _PARAGRAPH.join(paragraphs)}

    def _assistant(self, turn: Turn) -> Message:
        calls = [part for part in turn.content if isinstance(part, ToolCall)]
        words = _texts(turn)
        message: Message = {"role": "assistant", "content": words}
        reasoning = "".join(part.text for part in turn.content if isinstance(part, Thinking))
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls and self.traits.calls:
            message["tool_calls"] = [self._as_call(call) for call in calls]
        elif calls:
            encoded = self.dialect.encode_calls(calls)
            message["content"] = f"{words}\n{encoded}" if words else encoded
        return message

    def _late_system(self, messages: list[Message], words: str, notes: list[str]) -> None:
        if self.traits.late_system:
            messages.append({"role": "system", "content": words})
            return
        marked = f"<system>\n{words}\n</system>"
        notes.append("moved: a late system turn, into the user turn before it")
        if messages and messages[-1]["role"] == "user":
            messages[-1] = {"role": "user", "content": messages[-1]["content"] + _PARAGRAPH + marked}
        else:
            messages.append({"role": "user", "content": marked})

    def _as_call(self, call: ToolCall) -> Message:
        arguments = json.dumps(call.input, ensure_ascii=False) if self.traits.string_arguments else call.input
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _texts(turn: Turn) -> str:
    """The words of a turn: blocks are paragraphs, so that one block and a plain string are the same."""
    return _PARAGRAPH.join(part.text for part in turn.content if isinstance(part, Text))
