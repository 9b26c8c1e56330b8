"""The field `context_management`: the edits that a client asks for, and what the answer says of those that were applied.

The defaults are Anthropic's. An edit of a later version that only clears something is ignored, and noted in the log: a client
cannot recover from a refusal of this field (CC-8).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel
from dragoman.conversation.compaction import Compaction
from dragoman.conversation.context_edits import AppliedEdit, ClearThinking, ClearToolUses, ContextEdit

_TRIGGER_TOKENS = 100_000
_COMPACTION_TOKENS = 150_000


class InputTokens(WireModel):
    """A number of input tokens."""

    type: Literal["input_tokens"]
    value: Annotated[int, Field(ge=1)]


class ToolUses(WireModel):
    """A number of tool uses."""

    type: Literal["tool_uses"]
    value: Annotated[int, Field(ge=0)]


class ThinkingTurns(WireModel):
    """A number of answers with reasoning."""

    type: Literal["thinking_turns"]
    value: Annotated[int, Field(ge=1)]


class AllThinking(WireModel):
    """All answers with reasoning."""

    type: Literal["all"]


class ClearToolUsesEdit(WireModel):
    """Old tool results are cleared."""

    type: Literal["clear_tool_uses_20250919"]
    trigger: Annotated[InputTokens | ToolUses, Field(discriminator="type")] | None = None
    keep: ToolUses | None = None
    clear_at_least: InputTokens | None = None
    exclude_tools: list[str] | None = None
    clear_tool_inputs: bool | list[str] | None = None

    @property
    def neutral(self) -> ClearToolUses:
        """The neutral form."""
        trigger, inputs = self.trigger or InputTokens(type="input_tokens", value=_TRIGGER_TOKENS), self.clear_tool_inputs
        counts_uses = isinstance(trigger, ToolUses)
        return ClearToolUses(
            tokens=None if counts_uses else trigger.value,
            uses=trigger.value if counts_uses else None,
            keep=3 if self.keep is None else self.keep.value,
            at_least=self.clear_at_least.value if self.clear_at_least else 0,
            exclude=frozenset(self.exclude_tools or ()),
            inputs=frozenset(inputs) if isinstance(inputs, list) else bool(inputs),
        )


class ClearThinkingEdit(WireModel):
    """Old reasoning is removed."""

    type: Literal["clear_thinking_20251015"]
    keep: Literal["all"] | ThinkingTurns | AllThinking | None = None


class CompactEdit(WireModel):
    """The conversation is replaced by a summary."""

    type: Literal["compact_20260112"]
    trigger: InputTokens | None = None
    pause_after_compaction: bool | None = None
    instructions: str | None = None

    def neutral(self, carried: Sequence[str]) -> Compaction:
        """The neutral form, with the texts for tools that messages added or removed."""
        tokens = self.trigger.value if self.trigger else _COMPACTION_TOKENS
        return Compaction(tokens, bool(self.pause_after_compaction), self.instructions or "", carried)


class LaterEdit(WireModel):
    """An edit that this server does not know."""

    open = True

    type: str


_KNOWN = ("clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112")


def _edit_kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if kind in _KNOWN else "(later)"


AnyEdit = Annotated[
    Annotated[ClearToolUsesEdit, Tag("clear_tool_uses_20250919")]
    | Annotated[ClearThinkingEdit, Tag("clear_thinking_20251015")]
    | Annotated[CompactEdit, Tag("compact_20260112")]
    | Annotated[LaterEdit, Tag("(later)")],
    Discriminator(_edit_kind),
]


class ContextManagement(WireModel):
    """The edits, in the order in which they are applied."""

    edits: list[AnyEdit] | None = None

    @property
    def neutral(self) -> Sequence[ContextEdit]:
        """The edits that change anything, in neutral form."""
        found: list[ContextEdit] = []
        for edit in self.edits or ():
            match edit:
                case ClearToolUsesEdit():
                    found.append(edit.neutral)
                case ClearThinkingEdit(keep=ThinkingTurns(value=keep)):
                    found.append(ClearThinking(keep))
                case ClearThinkingEdit(keep=None):
                    found.append(ClearThinking(1))
                case _:  # all reasoning is kept, the edit is not known, or it is the compaction
                    pass
        return found

    @property
    def compact(self) -> CompactEdit | None:
        """The compaction, if there is one."""
        return next((edit for edit in self.edits or () if isinstance(edit, CompactEdit)), None)

    @property
    def ignored(self) -> Sequence[str]:
        """Notes for the log about edits that are ignored."""
        return [f"ignored: {edit.type}, a later edit" for edit in self.edits or () if isinstance(edit, LaterEdit)]


class ToolUsesCleared(Struct, frozen=True, tag="clear_tool_uses_20250919"):
    """What clearing tool results saved."""

    cleared_tool_uses: int
    cleared_input_tokens: int


class ThinkingCleared(Struct, frozen=True, tag="clear_thinking_20251015"):
    """What clearing reasoning saved."""

    cleared_thinking_turns: int
    cleared_input_tokens: int


class AppliedEdits(Struct, frozen=True):
    """The edits that were applied to a request."""

    applied_edits: list[ToolUsesCleared | ThinkingCleared]

    @classmethod
    def of(cls, applied: Sequence[AppliedEdit]) -> "AppliedEdits":
        """The applied edits in the form of the API."""
        return cls(
            [
                (ToolUsesCleared if isinstance(each.edit, ClearToolUses) else ThinkingCleared)(each.cleared, each.tokens)
                for each in applied
            ]
        )


class OriginalTokens(Struct, frozen=True):
    """The length of the prompt before the edits, in the response of `count_tokens`."""

    original_input_tokens: int
