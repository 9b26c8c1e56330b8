"""The properties of a model on which rendering depends, as its inspection finds them.

These are its dialect and its chat template, and of the template the variables, what it can render, and what stands between a
prompt and the answer after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dragoman.dialects import Dialect
from dragoman.prompt.template import ChatTemplate

DEFAULT_VARIABLES: Mapping[str, Any] = {
    "preserve_thinking": True,
    "clear_thinking": False,
    "drop_thinking": False,
    "keep_past_thinking": True,
    "truncate_history_thinking": False,
    "functions": "",
    "datetime": "",
}
"""Passed to every template. The first five make some templates keep the reasoning of earlier turns, so that prompts stay
append-only; some templates fail without the last two."""


@dataclass(frozen=True, slots=True)
class ThinkingVariable:
    """The variable that turns thinking on and off. `default` is the template's behaviour without it, None if it is neither."""

    variable: str
    on: Any = True
    off: Any = False
    default: bool | None = None

    def variables(self, enabled: bool) -> dict[str, Any]:
        """The variables for one rendering."""
        return {self.variable: self.on if enabled else self.off}


@dataclass(frozen=True, slots=True)
class EffortVariable:
    """The variable for the effort. `values` maps the levels of the API; a missing level sets no variable."""

    variable: str
    values: Mapping[str, str]

    def variables(self, level: str | None) -> dict[str, Any]:
        """The variables for one rendering."""
        return {self.variable: self.values[level]} if level and level in self.values else {}


class LateSystem(StrEnum):
    """The ways in which templates treat a late system turn. At the top it would change the prefix and the order of turns."""

    IN_PLACE = "in place"
    HOISTED = "hoisted"
    LOST = "lost"
    REFUSED = "refused"


class TextBeforeCall(StrEnum):
    """The ways in which templates treat the text before a call."""

    KEPT = "kept"
    AFTER = "after the call"
    LOST = "lost"


class CallIds(StrEnum):
    """The forms of call ids that templates require, and whether they print them."""

    UNSEEN = "not printed"
    PRINTED = "printed"
    NINE = "nine letters and digits"
    NUMBERED = "functions.name:number"
    RENUMBERED = "functions.name:number, restarting in every turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateCapabilities:
    """The capabilities of a template.

    `typed_content`: it needs content as a list of typed parts. `system`: it renders a system turn at the top; `late_system`:
    what it does with one after a user turn. `user_first`: it refuses or loses something if the first turn is not the user's.
    `tools`: it renders the list of tools.

    `calls`: it renders a call; `second_call`: also further calls of the same turn; `words`: what it does with text
    before a call; `call_ids`: the ids it takes; `string_arguments`: it needs the arguments of a call as a JSON string.

    `results`: it renders tool turns; `bare_results`: also after calls that are part of the text of their turn; `empty_result`:
    also an empty one; `user_after_results`: it renders a user turn directly after a tool turn; `loop_goes_on`: such a
    turn does not make it drop the reasoning of the tool loop.

    `reasoning`: the field from which it renders reasoning in a running tool loop ("content": a typed part), None if it renders
    none; `reasoning_beside_words`: also if the turn has both text and a call; `reasoning_kept`: also after the next user turn.
    `thinking` and `effort`: the variables that turn reasoning on and set the effort. `image`: what it writes for an image, ""
    if it writes nothing.
    """

    typed_content: bool = False
    system: bool = False
    late_system: LateSystem = LateSystem.LOST
    user_first: bool = False
    tools: bool = False
    calls: bool = False
    second_call: bool = False
    words: TextBeforeCall = TextBeforeCall.LOST
    call_ids: CallIds = CallIds.UNSEEN
    string_arguments: bool = False
    results: bool = False
    bare_results: bool = False
    empty_result: bool = False
    user_after_results: bool = False
    loop_goes_on: bool = False
    reasoning: str | None = None
    reasoning_beside_words: bool = False
    reasoning_kept: bool = False
    thinking: ThinkingVariable | None = None
    effort: EffortVariable | None = None
    image: str = ""

    @property
    def losses(self) -> Sequence[str]:
        """Names of everything that the template does not render, or not in place."""
        return [
            name
            for name, is_lost in (
                ("system", not self.system),
                ("late system turns", self.late_system is not LateSystem.IN_PLACE),
                ("conversations that no user turn begins", self.user_first),
                ("tools", not self.tools),
                ("calls", not self.calls),
                ("second call", self.calls and not self.second_call),
                ("text beside a call", self.calls and self.words is not TextBeforeCall.KEPT),
                ("call ids", self.calls and self.call_ids in (CallIds.UNSEEN, CallIds.RENUMBERED)),
                ("results", not self.results),
                ("empty results", self.results and not self.empty_result),
                ("a user turn after results", self.results and not self.user_after_results),
                ("reasoning in a tool loop", self.reasoning is None),
                ("reasoning of earlier turns", not self.reasoning_kept),
            )
            if is_lost
        ]


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


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """A model's chat template, its dialect, and the properties of the template that inspection found."""

    template: ChatTemplate
    dialect: Dialect
    capabilities: TemplateCapabilities
    boundary: TurnBoundary = field(default_factory=TurnBoundary)
