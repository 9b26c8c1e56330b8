"""Rules for messages: their order and content, and the calls in them with their results."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from dragoman.api.anthropic.blocks import (
    ContentBlock,
    TextBlock,
    ToolAdditionBlock,
    ToolRemovalBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from dragoman.api.anthropic.request import Message, PromptRequest
from dragoman.errors import InvalidRequest


def check_input_ids(request: PromptRequest) -> None:
    """Check token ids that take the place of the messages: nothing else can be a part of their prompt."""
    if request.messages:
        raise InvalidRequest.at("input_ids", "cannot be used when messages is non-empty")
    if not request.input_ids:
        raise InvalidRequest.at("input_ids", "must not be an empty list")
    if request.system:
        raise InvalidRequest.at("system", "cannot be used when input_ids is set: the prompt is these ids, and nothing else")


def check_turns(request: PromptRequest) -> None:
    """Check the messages: not empty, and system messages in allowed places (REQ-5, REQ-7, REQ-8, REQ-11)."""
    messages = request.messages
    if not messages:
        raise InvalidRequest.at("messages", "at least one message is required")
    last = len(messages) - 1
    for index, message in enumerate(messages):
        if not message.content and not (index == last and message.role == "assistant"):
            raise InvalidRequest.at(
                f"messages.{index}", "all messages must have non-empty content except for the optional final assistant message"
            )
        if index < last or message.role != "assistant":  # a final assistant message is a prefill: any text is allowed (PRE-3)
            _check_texts(message)
        if message.role == "system":
            _check_system_place(messages, index)


def _check_texts(message: Message) -> None:
    content = message.content
    texts = [content] if isinstance(content, str) else [block.text for block in content if isinstance(block, TextBlock)]
    for text in texts:
        if not text:
            raise InvalidRequest.at("messages", "text content blocks must be non-empty")
        if not text.strip():
            raise InvalidRequest.at("messages", "text content blocks must contain non-whitespace text")


def _check_system_place(messages: list[Message], index: int) -> None:
    """Check that system messages follow a user message, and precede an assistant message or the end (REQ-11)."""
    before = next((message.role for message in reversed(messages[:index]) if message.role != "system"), None)
    after = next((message.role for message in messages[index + 1 :] if message.role != "system"), None)
    if before != "user":
        raise InvalidRequest.at(f"messages.{index}", "role 'system' must follow a 'user' message")
    if after not in (None, "assistant"):
        raise InvalidRequest.at(f"messages.{index}", "role 'system' must precede an 'assistant' message or end the array")
    for position, block in enumerate(messages[index].blocks):
        if not isinstance(block, TextBlock | ToolAdditionBlock | ToolRemovalBlock):
            raise InvalidRequest.at(f"messages.{index}.content.{position}", "system messages may hold text blocks only")


_SHOWN: Final = 20
"""The most ids that an error names."""


class _Pending:
    """The calls of the last assistant turn that have no result yet."""

    def __init__(self) -> None:
        self.turn = -1
        self.open: dict[str, None] = {}  # an ordered set of ids
        self.known: set[str] = set()
        self.closed = True  # true once something other than a result came after the calls

    def begin(self, index: int, calls: list[str]) -> None:
        self.turn, self.open, self.known, self.closed = index, dict.fromkeys(calls), set(calls), False

    def extend(self, index: int, calls: list[str]) -> None:
        """Add the calls of another message of the same turn."""
        if not self.open:
            self.turn = index
        self.open.update(dict.fromkeys(calls))
        self.known.update(calls)

    def settle(self) -> None:
        if self.open:
            shown = ", ".join(islice(self.open, _SHOWN)) + (", …" if len(self.open) > _SHOWN else "")
            raise InvalidRequest.at(
                f"messages.{self.turn}",
                f"`tool_use` ids were found without `tool_result` blocks immediately after: {shown}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
            )
        self.closed = True


def check_calls(messages: list[Message]) -> None:
    """Check that call ids are unique, and that the next user turn begins with the results (IN-7, IN-9, IN-10)."""
    seen: set[str] = set()
    pending = _Pending()
    previous = None
    for index, message in enumerate(messages):
        blocks = message.blocks
        if message.role == "assistant":
            calls = [block.id for block in blocks if isinstance(block, ToolUseBlock)]
            for position, block in enumerate(blocks):
                if isinstance(block, ToolUseBlock):
                    _check_new_id(block.id, seen, f"messages.{index}.content.{position}")
                elif isinstance(block, ToolResultBlock):
                    raise InvalidRequest.at(
                        f"messages.{index}.content.{position}", "`tool_result` blocks can only be in `user` messages"
                    )
            if previous == "assistant" and not pending.closed:
                pending.extend(index, calls)
            else:
                pending.settle()
                pending.begin(index, calls)
        else:
            _check_results(pending, message, blocks, index)
        previous = message.role
    pending.settle()


def _check_new_id(identifier: str, seen: set[str], path: str) -> None:
    if identifier in seen:
        raise InvalidRequest.at(path, "`tool_use` ids must be unique")
    seen.add(identifier)


def _check_results(pending: _Pending, message: Message, blocks: Sequence[ContentBlock], index: int) -> None:
    if not blocks:
        pending.settle()
    for position, block in enumerate(blocks):
        path = f"messages.{index}.content.{position}"
        if isinstance(block, ToolUseBlock):
            raise InvalidRequest.at(path, "`tool_use` blocks can only be in `assistant` messages")
        if not isinstance(block, ToolResultBlock) or message.role == "system":
            pending.settle()
        elif pending.closed or block.tool_use_id not in pending.known:
            raise InvalidRequest.at(
                path,
                f"unexpected `tool_use_id` found in `tool_result` blocks: {block.tool_use_id}. Each `tool_result` block must "
                "have a corresponding `tool_use` block in the previous message.",
            )
        elif block.tool_use_id in pending.open:
            del pending.open[block.tool_use_id]
        else:
            raise InvalidRequest.at(
                path,
                f"each tool_use must have a single result. Found multiple `tool_result` blocks: {block.tool_use_id}",
            )
