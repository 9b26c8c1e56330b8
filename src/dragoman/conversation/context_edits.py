"""Clears old reasoning and old tool results from a dialogue, as a client asks for (`context_management`).

The server keeps no state between requests, but an edit must not change the prompt again with every turn. Tool uses are
therefore cleared as they would have been if each request of the conversation had been edited when it was sent: whenever the
remaining dialogue reaches the trigger, all but the newest tool uses are cleared, and from there on the prompt only grows until
it reaches the trigger again. So each edit breaks the prefix once.
"""

import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from dragoman.conversation.types import Content, Dialogue, Role, Text, Thinking, ToolCall, ToolResult, Turn

CLEARED: Final = "[Old tool result cleared to save context]"
"""The text in the place of a cleared result."""
_STEP: Final = 1.05
_ATTACHED_CHARACTERS: Final = 4_000
"""About how many characters of text an image takes as much room as."""


@dataclass(frozen=True, slots=True)
class ClearThinking:
    """Removes the reasoning of all but the last `keep` answers that have any. A loop of tool calls is one answer."""

    keep: int
    at_least: int = 0

    def may_apply(self, tokens: int) -> bool:
        """Whether a prompt of that length may have to be edited."""
        return tokens > 0


@dataclass(frozen=True, slots=True)
class ClearToolUses:
    """Clears the results of all but the last `keep` tool uses, once the prompt has more than `tokens` or `uses`.

    Nothing is cleared if that saves less than `at_least` tokens. The tools in `exclude` keep their results. `inputs`: the
    arguments of all calls, or of those of these tools, are cleared as well.
    """

    tokens: int | None = None
    uses: int | None = None
    keep: int = 3
    at_least: int = 0
    exclude: frozenset[str] = frozenset()
    inputs: bool | frozenset[str] = False

    def may_apply(self, tokens: int) -> bool:
        """Whether a prompt of that length may have to be edited."""
        return self.tokens is None or tokens > self.tokens

    def clears_input(self, name: str) -> bool:
        """Whether the arguments of a cleared call of this tool are cleared."""
        return self.inputs if isinstance(self.inputs, bool) else name in self.inputs


ContextEdit = ClearThinking | ClearToolUses

Plan = Sequence[tuple[ContextEdit, int]]
"""Edits to apply one after the other, each with the length in tokens of the prompt before it."""


@dataclass(frozen=True, slots=True)
class AppliedEdit:
    """An edit that was applied, what it cleared (tool uses, or answers with reasoning), and how many tokens that saved."""

    edit: ContextEdit
    cleared: int
    tokens: int

    def __str__(self) -> str:
        things = "tool use" if isinstance(self.edit, ClearToolUses) else "answer's reasoning"
        return f"cleared: {self.cleared} {things}{'s' * (self.cleared > 1)}, {self.tokens:,} tokens"


def apply(dialogue: Dialogue, plan: Plan) -> tuple[Dialogue, Sequence[int]]:
    """The edited dialogue, which has no attachments, and how much each edit of the plan cleared."""
    cleared: list[int] = []
    for edit, tokens in plan:
        match edit:
            case ClearThinking():
                turns, count = _without_thinking(dialogue.turns, edit.keep)
            case ClearToolUses():
                uses = _cleared_uses(dialogue, edit, tokens)
                turns, count = tuple(_without(turn, uses, edit) for turn in dialogue.turns), len(uses)
        cleared.append(count)
        if count:
            dialogue = replace(dialogue, turns=turns)
    return dialogue, cleared


def _without_thinking(turns: Sequence[Turn], keep: int) -> tuple[Sequence[Turn], int]:
    """The turns without old reasoning, and the number of answers that lost theirs."""
    answers: list[int] = []  # of each turn: the number of the answer that it belongs to
    for turn in turns:
        begins = turn.role is Role.USER and not all(isinstance(part, ToolResult) for part in turn.content)
        answers.append((answers[-1] if answers else 0) + begins)
    reasoned = sorted({answer for answer, turn in zip(answers, turns, strict=True) if _has_thinking(turn)})
    old = set(reasoned[: len(reasoned) - keep]) if keep < len(reasoned) else set()
    kept = tuple(
        replace(turn, content=tuple(part for part in turn.content if not isinstance(part, Thinking)))
        if answer in old and _has_thinking(turn)
        else turn
        for answer, turn in zip(answers, turns, strict=True)
    )
    return kept, len(old)


def _has_thinking(turn: Turn) -> bool:
    return any(isinstance(part, Thinking) for part in turn.content)


class _Use(NamedTuple):
    """A tool use: the id of its call, whether it may be cleared, and how many characters that saves."""

    call_id: str
    clearable: bool
    saved: int


class _Walk:
    """Goes through the requests of a conversation, and clears tool uses wherever one of them reaches the trigger."""

    def __init__(self, edit: ClearToolUses, size: int, rate: float) -> None:
        self.size = size  # of the dialogue so far in characters, without what was cleared
        self.cleared: set[str] = set()
        self._edit = edit
        self._rate = rate  # tokens per character
        self._newest: deque[_Use] = deque()
        self._old: list[_Use] = []  # that may be cleared
        self._uses = 0  # that may be cleared, or once they are old
        self._saved = 0

    def add(self, use: _Use) -> None:
        """Add the next tool use."""
        self._newest.append(use)
        self._uses += use.clearable
        if len(self._newest) > self._edit.keep and (oldest := self._newest.popleft()).clearable:
            self._old.append(oldest)
            self._saved += oldest.saved

    def end_request(self) -> None:
        """Clear the old tool uses if the request that ends here reaches the trigger, and if that saves enough."""
        edit, tokens = self._edit, self.size * self._rate
        reached = self._uses > edit.uses if edit.uses is not None else tokens > (edit.tokens or 0)
        if reached and self._old and self._saved * self._rate >= edit.at_least:
            self.cleared.update(use.call_id for use in self._old)
            self.size -= self._saved
            self._uses -= len(self._old)
            self._old, self._saved = [], 0


def _cleared_uses(dialogue: Dialogue, edit: ClearToolUses, tokens: int) -> frozenset[str]:
    """The ids of the calls to clear: those that would have been cleared in one of the requests of this conversation."""
    fixed = sum(len(text.text) for text in dialogue.system)
    fixed += sum(len(json.dumps(tool.function)) for tool in dialogue.tools)
    sizes = [sum(map(_size, turn.content)) for turn in dialogue.turns]
    calls = {part.id: part for turn in dialogue.turns for part in turn.content if isinstance(part, ToolCall)}
    walk = _Walk(edit, fixed, _rounded_up(tokens / max(fixed + sum(sizes), 1)))
    following = [turn.role for turn in dialogue.turns[1:]] + [Role.ASSISTANT]
    for turn, size, role in zip(dialogue.turns, sizes, following, strict=True):
        walk.size += size
        for part in turn.content:
            if isinstance(part, ToolResult) and part.call_id in calls:
                walk.add(_use(calls[part.call_id], part, edit))
        if role is Role.ASSISTANT:
            walk.end_request()
    return frozenset(walk.cleared)


def _rounded_up(rate: float) -> float:
    """The tokens per character in steps of 5 %, so that later turns do not change what is found of the earlier ones."""
    return _STEP ** math.ceil(math.log(rate, _STEP)) if rate > 0 else 0.0


def _use(call: ToolCall, result: ToolResult, edit: ClearToolUses) -> _Use:
    saved = _size(result) - len(CLEARED) + (_size(call) if edit.clears_input(call.name) else 0)
    return _Use(call.id, call.name not in edit.exclude, saved)


def _without(turn: Turn, uses: frozenset[str], edit: ClearToolUses) -> Turn:
    if not any(isinstance(part, ToolCall | ToolResult) for part in turn.content):
        return turn
    return replace(turn, content=tuple(_emptied(part, uses, edit) for part in turn.content))


def _emptied(part: Content, uses: frozenset[str], edit: ClearToolUses) -> Content:
    match part:
        case ToolResult(call_id=call_id) if call_id in uses:
            return replace(part, content=(Text(CLEARED),))
        case ToolCall(id=call_id, name=name) if call_id in uses and edit.clears_input(name):
            return replace(part, input={})
        case _:
            return part


def _size(part: Content) -> int:
    return sum(_sizes(part))


def _sizes(part: Content) -> Iterator[int]:
    match part:
        case Text(text) | Thinking(text):
            yield len(text)
        case ToolCall(input=arguments):
            yield len(json.dumps(arguments, ensure_ascii=False))
        case ToolResult(content=content):
            for inner in content:
                yield from _sizes(inner)
        case _:
            yield _ATTACHED_CHARACTERS
