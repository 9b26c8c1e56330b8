"""Rules for the order and content of messages."""

from dragoman.api.anthropic.blocks import TextBlock, ToolAdditionBlock, ToolRemovalBlock
from dragoman.api.anthropic.request import Message
from dragoman.errors import InvalidRequest


def check_turns(messages: list[Message]) -> None:
    """Check the messages: not empty, and system messages in allowed places (REQ-5, REQ-7, REQ-8, REQ-11)."""
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
