"""A chat template for any dialect, real or not, which renders with the dialect's own writer."""

from collections.abc import Sequence
from typing import Any

from dragoman.conversation.types import ToolCall
from dragoman.dialects import Dialect


class WriterTemplate:
    """Renders calls, reasoning, tags around text and ends of turns in the dialect."""

    source = ""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._end = dialect.stop_strings.ends[0] if dialect.stop_strings.ends else ""
        prompted = dialect.reasoning is not None and dialect.reasoning.prompted
        self._opener = dialect.reasoning.opens[0] if dialect.reasoning and prompted else ""

    def render(self, messages: Sequence[dict[str, Any]], *, generation_prompt: bool = True, **_: Any) -> str:
        """Render messages; raises `TypeError` for arguments that are a string, and for content that is not."""
        turns = [f"<|role|>{message['role']}<|body|>\n{self._turn(message)}{self._end}\n" for message in messages]
        return "".join(turns) + (f"<|role|>assistant<|body|>\n{self._opener}" if generation_prompt else "")

    def _turn(self, message: dict[str, Any]) -> str:
        if message["role"] != "assistant":
            return str(message["content"])
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())
        ]
        if any(isinstance(arguments, str) for _, _, arguments in calls) or not isinstance(message["content"], str):
            raise TypeError(message)
        return (
            self._thought(message.get("reasoning_content", ""))
            + self._wrapped(message["content"])
            + (self._dialect.encode_calls([ToolCall(*call) for call in calls]) if calls else "")
        )

    def _thought(self, thought: str) -> str:
        reasoning = self._dialect.reasoning
        if not thought or reasoning is None:
            return self._opener
        return (self._opener or reasoning.opens[0]) + thought + reasoning.force_close

    def _wrapped(self, text: str) -> str:
        tags = self._dialect.wrapper.tags
        return tags[0] + text + "".join(tags[1:]) if text else ""
