"""The boundary between a prompt and the answer that the model writes after it."""

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnBoundary:
    """The differences between the text before an answer in its prompt and in the history.

    `missing` is text that the prompt of an answer without reasoning ends with, and that the history does not have before the
    answer; `fields` make the template keep it there. `extra` is whitespace that only the history has: the model writes it, and
    the template would write it again. `keeps_reasoning`: the template keeps reasoning that is put before the text. `call_gap`
    is the whitespace that the template writes between text and a call.
    """

    missing: str = ""
    extra: str = ""
    fields: Message = field(default_factory=dict)
    keeps_reasoning: bool = False
    call_gap: str = ""

    def without_reasoning(self, message: Message) -> Message:
        """The changed fields of an assistant message without reasoning."""
        if not self.missing:
            return {}
        return {"content": self.before_calls(message, self.missing + message["content"]), **self.fields}

    def before_calls(self, message: Message, content: str) -> str:
        """The content without the whitespace that the template itself writes between it and the calls."""
        if "tool_calls" in message and not message["content"]:
            return content.removesuffix(self.call_gap)
        return content
