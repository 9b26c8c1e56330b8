"""Finds where the prompts of a conversation diverge.

Within a conversation each prompt should begin with the previous one, so that the engine's cache can reuse it. If it does not,
something changed that was already sent: the client changed its text, or the template rendered an earlier turn differently.
The newest prompts are remembered with the parts they were made from, and if a prompt diverges from its predecessor too early,
the place is named in terms that the sender knows: `token 412 of 18,204: system block 2, "gitStatus:"`.

A conversation is identified by the user's first text, and not by anything that a client says about itself. A change in the last
turn is not a divergence: a turn that was interrupted is sent again, with more text.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import msgspec

from dragoman.conversation import Attachment, Conversation, Image, Role, Text, Thinking, Tool, ToolCall, ToolResult
from dragoman.conversation.citations import CitedText
from dragoman.conversation.once import once
from dragoman.conversation.types import Content
from dragoman.prefix import common_prefix_length, packed
from dragoman.prompt.builder import Prompt
from dragoman.prompt.volatile_metadata import strip

_REMEMBERED = 32
"""Number of remembered prompts: the newest one of each conversation."""
_MOST_PARTS = 20_000
_QUOTED = 40
"""Characters of a quotation, and of the start of a part by which it is located in a prompt."""
_MOST_SEARCHED = 4_000_000
"""Characters of a prompt that are searched for its parts, which takes a few milliseconds."""

_KINDS: Mapping[type[Content], str] = {
    Text: "text",
    Thinking: "thinking",
    ToolCall: "tool call",
    ToolResult: "tool result",
    Image: "image",
    Attachment: "attachment",
    CitedText: "text",
}


class PrefixTracker:
    """Remembers the newest prompts of one model, and compares each new prompt with them."""

    def __init__(self) -> None:
        self._known: deque[_Known] = deque(maxlen=_REMEMBERED)

    def follow(self, trail: "Trail", prompt: Prompt) -> "Followed":
        """Remember this prompt, and compare it with its predecessor."""
        new = _Known(trail, prompt.text, packed(prompt.tokens))
        family = [known for known in self._known if known.trail.opening == new.trail.opening]
        nearest = max(family, key=lambda known: common_prefix_length(new.text, known.text), default=None)
        if nearest is not None and new.text.startswith(nearest.text):
            self._known.remove(nearest)  # the new prompt contains it
        self._known.append(new)
        if nearest is None:
            return Followed()
        if not (place := _place(new, nearest)):
            return Followed("", nearest.text)
        shared = common_prefix_length(new.tokens, nearest.tokens)
        return Followed(f"token {shared:,} of {len(new.tokens):,}: {place}", nearest.text)


class Followed(NamedTuple):
    """Where a prompt diverges from its predecessor, "" if it does not, and the text of that one, None if there is none."""

    place: str = ""
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """The data that is remembered of a conversation: its first text, its parts by name, and the roles of its turns."""

    opening: str
    parts: "Mapping[str, Part]"
    roles: Sequence[Role]


def trail_of(conversation: Conversation) -> Trail:
    """Return the trail of a conversation. Of very many parts, only the first are named."""
    parts = dict(islice(_named(conversation), _MOST_PARTS))
    return Trail(_opening(conversation), parts, [turn.role for turn in conversation.dialogue.turns])


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    trail: Trail
    text: str
    tokens: "array[int]"

    @property
    def newest(self) -> int:
        """The index of the last turn."""
        return len(self.trail.roles) - 1

    def newest_from(self) -> int:
        """Return where the last turn begins in the text, or the end of the text if it is not found."""
        mark = next((part.mark for part in self.trail.parts.values() if part.turn == self.newest), "")
        start = self.text.rfind(mark) if mark else -1
        return start if start >= 0 else len(self.text)


class Place(Enum):
    """Where a part stands in a request."""

    SYSTEM = auto()
    TOOLS = auto()
    SETTINGS = auto()
    TURN = auto()


class Part(NamedTuple):
    """A digest of content that must not change. `mark` is its start in the text, `turn` its index, -1 before the first."""

    value: bytes
    place: Place
    mark: str = ""
    turn: int = -1


def _place(new: _Known, old: _Known) -> str:
    """Return where the texts diverge, if that is too early, with the line at that place."""
    position = common_prefix_length(new.text, old.text)
    if position == len(old.text):
        return ""
    answered = new.trail.roles[old.newest + 1 : old.newest + 2] == [Role.ASSISTANT]
    if position >= new.newest_from() or (not answered and position >= old.newest_from()):
        return ""
    ours = new.trail.parts
    place = _changed((ours, new.text), (old.trail.parts, old.text), position, old.newest)
    return f"{place or f'rendered differently after {_before(ours, new.text, position)}'}, {_quoted(new.text, position)}"


def _named(conversation: Conversation) -> Iterator[tuple[str, Part]]:
    system, _ = strip(conversation.dialogue.system)
    for number, block in enumerate(system, len(conversation.dialogue.system) - len(system) + 1):
        yield f"system block {number}", Part(_digest(block), Place.SYSTEM, _beginning(block.text))
    for tool in conversation.dialogue.tools:
        yield f"tool {tool.name}", Part(_tool_digest(tool), Place.TOOLS, tool.name)
    yield "the order of the tools", Part(_digest([tool.name for tool in conversation.dialogue.tools]), Place.TOOLS)
    thinking = conversation.policy.thinking
    yield "the thinking settings", Part(_digest((thinking.enabled, thinking.effort)), Place.SETTINGS)
    for place, turn in enumerate(conversation.dialogue.turns):
        for number, content in enumerate(turn.content, 1):
            name = f"turn {place + 1} ({turn.role}), {_KINDS[type(content)]} {number}"
            yield name, Part(*_identity(content), place)


@once
def _tool_digest(tool: Tool) -> bytes:
    return _digest(tool)


@once
def _identity(content: Content) -> tuple[bytes, Place, str]:
    return _digest(_without_bytes(content)), Place.TURN, _beginning(_words(content))


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
        case Image() | Attachment() | CitedText():  # of these, prompts have only images
            return ""


def _without_bytes(content: Content) -> object:
    """The content with digests in the place of its images."""
    match content:
        case Image():
            return content.digest
        case ToolResult() if any(isinstance(part, Image) for part in content.content):
            inner = [part.digest if isinstance(part, Image) else part for part in content.content]
            return (content.call_id, content.name, inner, content.is_error)
        case _:
            return content


def _beginning(text: str) -> str:
    return text.strip()[:_QUOTED]


def _opening(conversation: Conversation) -> str:
    """Return the user's first text: the last block, since clients put their reminders before it."""
    first = next((turn.content for turn in conversation.dialogue.turns if turn.role is Role.USER), ())
    return next((content.text for content in reversed(first) if isinstance(content, Text)), "")


def _changed(new: tuple[Mapping[str, Part], str], old: tuple[Mapping[str, Part], str], position: int, newest: int) -> str:
    """Return the name of the changed part in which the texts diverge, or that begins right after; "" if there is none.

    Of very many changed parts, only the first are searched for, since texts diverge at one of them.
    """
    starts: dict[str, int] = {}
    left = _MOST_SEARCHED
    for name in {**new[0], **old[0]}:
        ours, theirs = new[0].get(name), old[0].get(name)
        part, text = (ours, new[1]) if ours else (theirs, old[1])
        if part and ours != theirs and part.turn <= newest:
            start = text.find(part.mark)
            starts[name if ours else f"{name}, gone"] = start
            left -= start if start >= 0 else len(text)
            if left < 0:
                break
    near = [name for name, start in starts.items() if start <= position + _QUOTED]
    return max(near, key=lambda name: (starts[name] <= position, starts[name]), default="")


def _before(parts: Mapping[str, Part], text: str, position: int) -> str:
    """Return the name of the last part that begins before a position, or of an earlier one if very many are not found."""
    found, at, left = "the beginning", 0, _MOST_SEARCHED
    for name, part in parts.items():
        if part.turn < 0:
            continue
        start = text.find(part.mark, at)
        left -= (start if start >= 0 else len(text)) - at
        if start >= position or left < 0:
            break
        if start >= 0:
            found, at = name, start
    return found


def _quoted(text: str, position: int) -> str:
    """Return the line at a position, from its start if that is near."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start if position - start < _QUOTED else position :][:_QUOTED].partition("\n")[0]
    return f'"{line.strip()}"'
