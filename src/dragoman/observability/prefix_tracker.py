"""Where did the prefix break?

In one conversation each prompt should begin with the one before it: that is what the engine's cache lives on. Where it does
not, something changed that had been sent already: the client its words, or the template its own writing of an earlier turn.
The newest prompts are remembered with what they were made of, and where a prompt parts from its predecessor too early, the
place is named in words that its sender knows: `token 412 of 18,204: system block 2, "gitStatus:"`.

A conversation is known by the user's first words, and by nothing that a client says of itself. What changes in the last turn
is no break: a turn that was interrupted is asked again, with more words.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import msgspec

from dragoman.conversation import Conversation, Role, Text, Thinking, ToolCall, ToolResult
from dragoman.conversation.types import Content
from dragoman.prefix import common_prefix_length
from dragoman.prompt.builder import Prompt
from dragoman.prompt.volatile_metadata import strip

_REMEMBERED = 32
"""Prompts: the newest of as many conversations."""
_MOST_PARTS = 20_000
_QUOTED = 40
"""Characters of a quotation, and of the beginning of a part by which it is found in a prompt."""

_KINDS: Mapping[type[Content], str] = {
    Text: "text",
    Thinking: "thinking",
    ToolCall: "tool call",
    ToolResult: "tool result",
}


class PrefixTracker:
    """The newest prompts of one model."""

    def __init__(self) -> None:
        self._known: deque[_Known] = deque(maxlen=_REMEMBERED)

    def follow(self, trail: "Trail", prompt: Prompt) -> str:
        """Remember this prompt. Gives the place where it breaks with the one it should begin with; "" where it does not."""
        new = _Known(trail, prompt.text, array("I", prompt.tokens))
        family = [known for known in self._known if known.trail.opening == new.trail.opening]
        nearest = max(family, key=lambda known: common_prefix_length(new.text, known.text), default=None)
        if nearest is not None and new.text.startswith(nearest.text):
            self._known.remove(nearest)  # its successor stands for both
        self._known.append(new)
        if nearest is None or not (place := _place(new, nearest)):
            return ""
        return f"token {common_prefix_length(new.tokens, nearest.tokens):,} of {len(new.tokens):,}: {place}"


@dataclass(frozen=True, slots=True)
class Trail:
    """What is remembered of a conversation: how it opens, its parts by their names, and the roles of its turns."""

    opening: str
    parts: "Mapping[str, _Part]"
    roles: Sequence[Role]


def trail_of(conversation: Conversation) -> Trail:
    """The trail of a conversation. Of very many parts only the first are named."""
    parts = dict(islice(_named(conversation), _MOST_PARTS))
    return Trail(_opening(conversation), parts, [turn.role for turn in conversation.turns])


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    trail: Trail
    text: str
    tokens: "array[int]"

    @property
    def newest(self) -> int:
        """Where the last turn stands."""
        return len(self.trail.roles) - 1

    def newest_from(self) -> int:
        """Where in the text the last turn begins; the end, where that cannot be seen."""
        mark = next((part.mark for part in self.trail.parts.values() if part.turn == self.newest), "")
        start = self.text.rfind(mark) if mark else -1
        return start if start >= 0 else len(self.text)


class _Part(NamedTuple):
    """A digest of what must not change. `mark` is how it begins in the text, `turn` is -1 before the first."""

    value: bytes
    mark: str = ""
    turn: int = -1


def _place(new: _Known, old: _Known) -> str:
    """Where the texts part, if it is too early, and how the line goes on there."""
    position = common_prefix_length(new.text, old.text)
    if position == len(old.text):
        return ""
    answered = new.trail.roles[old.newest + 1 : old.newest + 2] == [Role.ASSISTANT]
    if position >= new.newest_from() or (not answered and position >= old.newest_from()):
        return ""
    ours = new.trail.parts
    place = _changed((ours, new.text), (old.trail.parts, old.text), position, old.newest)
    return f"{place or f'rendered anew behind {_before(ours, new.text, position)}'}, {_quoted(new.text, position)}"


def _named(conversation: Conversation) -> Iterator[tuple[str, _Part]]:
    system, _ = strip(conversation.system)
    for number, block in enumerate(system, len(conversation.system) - len(system) + 1):
        yield f"system block {number}", _Part(_digest(block), _beginning(block.text))
    for tool in conversation.tools:
        yield f"tool {tool.name}", _Part(_digest(tool), tool.name)
    yield "the order of the tools", _Part(_digest([tool.name for tool in conversation.tools]))
    yield "the thinking settings", _Part(_digest((conversation.thinking.enabled, conversation.thinking.effort)))
    for place, turn in enumerate(conversation.turns):
        for number, content in enumerate(turn.content, 1):
            name = f"turn {place + 1} ({turn.role}), {_KINDS[type(content)]} {number}"
            yield name, _Part(_digest(content), _beginning(_words(content)), place)


def _digest(value: object) -> bytes:
    return blake2b(msgspec.json.encode(value, enc_hook=str), digest_size=8).digest()


def _words(content: Content) -> str:
    match content:
        case Text(text) | Thinking(text):
            return text
        case ToolCall():
            return content.name
        case ToolResult():
            return content.outcome


def _beginning(text: str) -> str:
    return text.strip()[:_QUOTED]


def _opening(conversation: Conversation) -> str:
    """The user's first words: the last block, as clients put their reminders in front of it."""
    first = next((turn.content for turn in conversation.turns if turn.role is Role.USER), ())
    return next((content.text for content in reversed(first) if isinstance(content, Text)), "")


def _changed(new: tuple[Mapping[str, _Part], str], old: tuple[Mapping[str, _Part], str], position: int, newest: int) -> str:
    """Of what is no longer the same, the part in which the texts part, or that begins just behind; "" where there is none."""
    starts: dict[str, int] = {}
    for name in {**new[0], **old[0]}:
        ours, theirs = new[0].get(name), old[0].get(name)
        part, text = (ours, new[1]) if ours else (theirs, old[1])
        if part and ours != theirs and part.turn <= newest:
            starts[name if ours else f"{name}, gone"] = text.find(part.mark)
    near = [name for name, start in starts.items() if start <= position + _QUOTED]
    return max(near, key=lambda name: (starts[name] <= position, starts[name]), default="")


def _before(parts: Mapping[str, _Part], text: str, position: int) -> str:
    """The last part that begins in front of a place."""
    found, at = "the beginning", 0
    for name, part in parts.items():
        start = text.find(part.mark, at) if part.turn >= 0 else -1
        if start >= position:
            break
        if start >= 0:
            found, at = name, start
    return found


def _quoted(text: str, position: int) -> str:
    """The line that holds this place, from its beginning if that is near."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start if position - start < _QUOTED else position :][:_QUOTED].partition("\n")[0]
    return f'"{line.strip()}"'
