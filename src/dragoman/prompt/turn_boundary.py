"""The boundary between a prompt and the turn that the model writes after it."""

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnBoundary:
    """What has to be put in front of a turn's words.

    `missing` is what stands in the prompt of a turn without reasoning, and not in front of its words in the history; `fields`
    make the template leave it there. `extra` is space that the history has and the prompt has not: the model writes it, and
    then the template would write it again. `thoughts`: does reasoning stay that is put there? `call_gap` is the space that the
    template writes between words and a call.
    """

    missing: str = ""
    extra: str = ""
    fields: Message = field(default_factory=dict)
    thoughts: bool = False
    call_gap: str = ""

    def without_thought(self, message: Message) -> Message:
        """What changes in an assistant message without reasoning."""
        if not self.missing:
            return {}
        return {"content": self.before_calls(message, self.missing + message["content"]), **self.fields}

    def before_calls(self, message: Message, content: str) -> str:
        """The content, less what the template itself will write between it and the calls."""
        if "tool_calls" in message and not message["content"]:
            return content.removesuffix(self.call_gap)
        return content
