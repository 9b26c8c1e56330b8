"""Builds the messages for a template: native fields for what it can render, text of the dialect for the rest.

Turns are added one by one, and a turn never changes what earlier turns rendered, so that the prompt stays append-only.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from dragoman.conversation import Role, Text, Thinking, ToolCall, ToolResult, Turn
from dragoman.dialects import Dialect
from dragoman.dialects.writer import short_id
from dragoman.prompt.profile import CallIds, LateSystem, TemplateCapabilities, TextBeforeCall, TurnBoundary

Message = dict[str, Any]

PARAGRAPH = "\n\n"

_NO_OUTPUT = "(no output)"

_OPENING = "(The conversation goes on.)"
"""The first user turn for conversations that begin without one, for example after a compaction, if the template needs one."""


class MessageBuilder:
    """Builds messages from turns. `notes` say what was moved, written by the dialect, or lost."""

    def __init__(self, capabilities: TemplateCapabilities, dialect: Dialect, boundary: TurnBoundary) -> None:
        self._messages: list[Message] = []
        self._more: list[str] = []  # text to append to the content of the last message
        self.notes: list[str] = []
        self._capabilities = capabilities
        self._dialect = dialect
        self._boundary = boundary
        self._user_first = capabilities.user_first
        self._numbers = count()
        self._calls: dict[str, ToolCall] = {}  # of the last assistant turn, by the client's ids
        self._native = False  # whether they are native tool calls of the message
        self._waiting: dict[str, ToolCall] = {}  # calls whose message is added together with their result

    @property
    def messages(self) -> list[Message]:
        """The messages so far."""
        if self._more:
            last = self._messages[-1]
            last["content"] = "".join([last["content"], *self._more])
            self._more.clear()
        return self._messages

    def add(self, turn: Turn) -> None:
        """Add the next turn."""
        if self._user_first and not _is_users_own(turn):
            self.add_first_user_turn()
        self._user_first = False
        match turn.role:
            case Role.USER:
                self._results([part for part in turn.content if isinstance(part, ToolResult)])
                self.add_user_text(words_of(turn), keep_empty=not any(isinstance(part, ToolResult) for part in turn.content))
            case Role.ASSISTANT:
                self._assistant(turn)
            case Role.SYSTEM:
                self._late_system(words_of(turn))

    def add_system(self, words: str) -> None:
        """Add the system text as a system turn at the top, or before the text of the first user turn."""
        self.messages.append({"role": "system" if self._capabilities.system else "user", "content": words})

    def add_first_user_turn(self) -> None:
        """Add a first user turn, unless the system text is one already."""
        if self._last != "user":
            self.messages.append({"role": "user", "content": _OPENING})
            self._note(True, "added: a first user turn, as the template needs one")

    def add_user_text(self, words: str, *, keep_empty: bool = False) -> None:
        """Add text of the user. After a user turn, or after results if the template needs it, it becomes the next paragraph."""
        last = self._last
        if last == "user" or (last == "tool" and not self._capabilities.user_after_results):
            if words:
                self._more += [PARAGRAPH, words] if self._messages[-1]["content"] or self._more else [words]
                self._note(last == "tool", "moved: text after results, into the last result")
        elif words or keep_empty:
            self.messages.append({"role": "user", "content": words})

    @property
    def _last(self) -> str | None:
        """The role of the last message, or None."""
        return self._messages[-1]["role"] if self._messages else None

    def _late_system(self, words: str) -> None:
        if self._capabilities.late_system is LateSystem.IN_PLACE:
            self.messages.append({"role": "system", "content": words})
            return
        text = f"<system>\n{words}\n</system>"
        self._note(True, "moved: a late system turn, into the user turn before it")
        if self._last == "tool" and not self._capabilities.loop_goes_on:
            self._more += [PARAGRAPH, text]
        else:
            self.add_user_text(text)

    def _results(self, results: Sequence[ToolResult]) -> None:
        """Add results in the order of their calls: without ids in the template, only the order links a result to its call."""
        places = {identifier: place for place, identifier in enumerate(self._calls)}
        ordered = sorted(results, key=lambda result: places.get(result.call_id, len(places)))
        self._note(ordered != list(results), "moved: results, into the order of their calls")
        known = [replace(result, call_id=self._wire_id(result.call_id)) for result in ordered]
        if self._takes_results:
            for result in known:
                self._result(result)
        elif known:
            self.add_user_text(self._dialect.encode_results(known))
            self._note(True, "encoded: results, as the template loses them")

    @property
    def _takes_results(self) -> bool:
        """Whether the template renders the results of the last calls, even if these are not native tool calls."""
        capabilities = self._capabilities
        if self._native:
            return capabilities.results
        return capabilities.bare_results and (capabilities.calls or capabilities.tools)

    def _result(self, result: ToolResult) -> None:
        if waiting := self._waiting.pop(result.call_id, None):
            self._add_assistant_message("", [waiting])
        words = result.outcome or ("" if self._capabilities.empty_result or not self._native else _NO_OUTPUT)
        self.messages.append({"role": "tool", "tool_call_id": result.call_id, "name": result.name, "content": words})

    def _assistant(self, turn: Turn) -> None:
        """Add an assistant turn. If calls are messages of their own in the format, text that they would lose is one too."""
        capabilities, words = self._capabilities, words_of(turn)
        thought = "".join(part.text for part in turn.content if isinstance(part, Thinking))
        self._calls = {part.id: self._with_id(part) for part in turn.content if isinstance(part, ToolCall)}
        calls = list(self._calls.values())
        if self._dialect.one_call_per_message and capabilities.calls and capabilities.results:
            loses_words = calls and words and capabilities.words is not TextBeforeCall.KEPT
            if loses_words and (capabilities.reasoning_kept or not capabilities.reasoning):
                self._add_assistant_message(words, (), thought)
                words = thought = ""
            elif loses_words:  # a separate message would end the tool loop, and the template would drop its reasoning
                thought, words = PARAGRAPH.join(filter(None, (thought, words))), ""
                self._note(True, "moved: text beside a call, into the reasoning")
            if not capabilities.second_call:
                self._waiting = {call.id: call for call in calls[1:]}
                del calls[1:]
        self._add_assistant_message(words, calls, thought)

    def _add_assistant_message(self, words: str, calls: Sequence[ToolCall], thought: str = "") -> None:
        message: Message = {"role": "assistant", "content": words}
        self._native = self._can_call(words, calls)
        if calls and self._native:
            message["tool_calls"] = [self._as_call(call) for call in calls]
        elif calls:
            message["content"] = self._dialect.encode_turn(words, calls)
            self._note(
                True,
                "encoded: calls, as the template loses "
                + ("some, their ids or text beside them" if self._capabilities.calls else "them"),
            )
        self._add_reasoning(message, thought, words)
        self.messages.append(message)

    def _can_call(self, words: str, calls: Sequence[ToolCall]) -> bool:
        """Whether the template renders this text and these calls completely and in this order."""
        capabilities = self._capabilities
        if not capabilities.calls or (calls and capabilities.call_ids is CallIds.RENUMBERED):
            return False
        return (capabilities.second_call or len(calls) < 2) and (not words or capabilities.words is TextBeforeCall.KEPT)

    def _add_reasoning(self, message: Message, thought: str, words: str) -> None:
        """Put the reasoning into the field that the template renders, else before the text and the calls of the dialect."""
        field, content = self._capabilities.reasoning, message["content"]
        keeps = self._capabilities.words is TextBeforeCall.KEPT or "tool_calls" not in message
        if not thought:
            message["content"] = content.removeprefix(self._boundary.extra)
            message.update(self._boundary.without_reasoning(message) if keeps else {})
        elif field == "content":
            typed = [{"type": "text", "text": content}] if content else []
            message["content"] = [{"type": "thinking", "thinking": thought}, *typed]
        elif field and (self._capabilities.reasoning_beside_words or not (content and "tool_calls" in message)):
            message[field] = thought
        elif field:
            message |= {field: f"{thought}{PARAGRAPH}{words}", "content": ""}
            self._note(True, "moved: text beside a call, into the reasoning")
        elif self._boundary.keeps_reasoning and keeps:
            message["content"] = self._boundary.before_calls(message, self._dialect.encode_thinking(thought, words) + content)
            self._note(True, "encoded: reasoning, as the template has no place for it")
        else:
            self._note(True, "removed: reasoning, as the template renders none")

    def _with_id(self, call: ToolCall) -> ToolCall:
        """The call with an id in the form of the template or the dialect, instead of the client's."""
        number = next(self._numbers)
        if self._capabilities.call_ids in (CallIds.NUMBERED, CallIds.RENUMBERED) or self._dialect.numbered:
            return replace(call, id=f"functions.{call.name}:{number}")
        if self._capabilities.call_ids is CallIds.NINE:
            return replace(call, id=short_id(call.id, 9))
        return call

    def _wire_id(self, identifier: str) -> str:
        call = self._calls.get(identifier)
        return call.id if call else identifier

    def _as_call(self, call: ToolCall) -> Message:
        arguments = json.dumps(call.input, ensure_ascii=False) if self._capabilities.string_arguments else call.input
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _note(self, happened: bool, note: str) -> None:
        """Add a note, each one only once."""
        if happened and note not in self.notes:
            self.notes.append(note)


def _is_users_own(turn: Turn) -> bool:
    return turn.role is Role.USER and not any(isinstance(part, ToolResult) for part in turn.content)


def words_of(turn: Turn) -> str:
    """The text of a turn. Blocks are joined as paragraphs, so that one block and a plain string are the same."""
    return PARAGRAPH.join(part.text for part in turn.content if isinstance(part, Text))
