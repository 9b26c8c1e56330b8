"""The capabilities of a template: the result of the probe, on which the renderer depends."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dragoman.prompt.template_variables import EffortVariable, ThinkingVariable


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
