"""Replaces a conversation by a summary, as a client asks for: where it is too long, or at once.

The summary is a turn of the user, after the system text and the tools. The text of the user's newest message is part of it
word for word, since a summary alone may lose the question. Tools that were added or removed in what it replaces are described
after it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dragoman.conversation.types import (
    AnswerPolicy,
    Conversation,
    Dialogue,
    Role,
    Text,
    ThinkingPolicy,
    ToolChoice,
    ToolPolicy,
    Turn,
)
from dragoman.conversation.types import ToolResult as Result

_REQUEST: Final = (
    "Write a summary of this conversation. It takes the place of everything above, which cannot be read any more. Keep what "
    "is needed to go on: what the user wants, what was decided and found out, names, numbers and file paths, what is done and "
    "what is still to do. Write the summary and nothing else."
)
_LONGEST_SUMMARY: Final = 8_192
"""Tokens of a summary."""
_SHARE: Final = 0.8
"""The share of the window at which a conversation is compacted at the latest, so that there is room for the summary."""
_NEWEST: Final = 4_000
"""Characters of the user's newest message that are kept word for word."""
_TAGS: Final = re.compile(r"</?summary>")


@dataclass(frozen=True, slots=True)
class Compaction:
    """Compact a conversation of at least `tokens`, None: any; `pause`: the answer ends with the summary.

    `instructions` take the place of the request for a summary, if there are any. `carried` are the texts for tools that were
    added or removed in the conversation. `quotes`: the summary has the newest message of the user, word for word. It has at
    most `longest` tokens without that.
    """

    tokens: int | None
    pause: bool = False
    instructions: str = ""
    carried: Sequence[str] = ()
    quotes: bool = True
    longest: int = _LONGEST_SUMMARY

    @classmethod
    def at_once(cls, instructions: str, max_tokens: int) -> "Compaction":
        """The compaction of any conversation, which is all of the answer."""
        return cls(None, pause=True, instructions=instructions, longest=min(max_tokens, _LONGEST_SUMMARY))

    def is_due(self, conversation: Conversation, tokens: int, window: int) -> bool:
        """Whether a conversation, whose prompt has so many tokens, is compacted.

        One that the model continues is not, unless any conversation is.
        """
        if self.tokens is None:
            return True
        turns = conversation.dialogue.turns
        return tokens >= min(self.tokens, int(_SHARE * window)) and bool(turns) and turns[-1].role is not Role.ASSISTANT

    def summarized(self, conversation: Conversation) -> Conversation:
        """The conversation that ends in the request for a summary: its prompt begins with that of the conversation."""
        turns, request = conversation.dialogue.turns, Text(self.instructions.strip() or _REQUEST)
        if turns[-1].role is Role.USER:
            turns = (*turns[:-1], Turn(Role.USER, (*turns[-1].content, request)))
        else:
            turns = (*turns, Turn(Role.USER, (request,)))
        policy = conversation.policy
        asked = AnswerPolicy(
            tools=policy.tools,
            tool_policy=ToolPolicy(ToolChoice.NONE),
            thinking=ThinkingPolicy(effort=policy.thinking.effort),
            sampling=policy.sampling,
            max_tokens=self.longest,
        )
        return Conversation(replace(conversation.dialogue, turns=turns), asked)

    def content(self, written: str, dialogue: Dialogue) -> str:
        """The content of the compaction of a dialogue, of what the model wrote; empty if it wrote no summary."""
        return summary_content(written, dialogue if self.quotes else Dialogue())

    def compacted(self, conversation: Conversation, content: str) -> Conversation:
        """The conversation that goes on after a summary."""
        turn = summary_turn(content, self.carried)
        dialogue = replace(conversation.dialogue, turns=(turn,), passages=(), replaced={})
        return Conversation(dialogue, replace(conversation.policy, passages=()))


def summary_turn(content: str, carried: Sequence[str] = ()) -> Turn:
    """The turn that takes the place of what a summary replaces."""
    text = f"This conversation goes on from a summary of what was before:\n\n<summary>\n{content}\n</summary>"
    return Turn(Role.USER, (Text("\n\n".join([text, *carried])),))


def summary_content(written: str, dialogue: Dialogue) -> str:
    """The content of a compaction: the summary that the model wrote, and the user's newest message; empty if it wrote none."""
    summary = _TAGS.sub("", written).strip()
    newest = next((words for turn in reversed(dialogue.turns) if (words := _users_words(turn))), "")
    if not summary or not newest:
        return summary
    if len(newest) > _NEWEST:
        newest = f"{newest[: _NEWEST // 2]}\n[…]\n{newest[-_NEWEST // 2 :]}"
    return f"{summary}\n\nThe newest message of the user, word for word:\n\n{newest}"


def _users_words(turn: Turn) -> str:
    """The text of the user in a turn; none in one that begins with results, where clients add their own remarks."""
    if turn.role is not Role.USER or any(isinstance(part, Result) for part in turn.content):
        return ""
    return "\n\n".join(part.text for part in turn.content if isinstance(part, Text))
