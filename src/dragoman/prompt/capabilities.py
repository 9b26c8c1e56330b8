"""What a template was found to do by itself: the probe's answer, which the renderer works off."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dragoman.prompt.template_variables import EffortVariable, ThinkingVariable


class LateSystem(StrEnum):
    """What becomes of a system turn that is not the first. Hoisted, it would change the prefix and the meaning of order."""

    IN_PLACE = "in place"
    HOISTED = "hoisted"
    LOST = "lost"
    REFUSED = "refused"


class Beside(StrEnum):
    """What becomes of the words in front of a call."""

    KEPT = "kept"
    BEHIND = "behind the call"
    LOST = "lost"


class CallIds(StrEnum):
    """Which ids a template takes, and whether it prints them."""

    UNSEEN = "not printed"
    PRINTED = "printed"
    NINE = "nine letters and digits"
    NUMBERED = "functions.name:number"
    RENUMBERED = "functions.name:number, anew in every turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateCapabilities:
    """What a template renders by itself.

    `typed_content`: it wants content as a list of typed parts. `system`: a system turn at the top; `late_system`: one behind
    a user turn. `user_first`: it refuses or loses something where no user turn begins the conversation. `tools`: the list of
    tools.

    `calls`: a call; `second_call`: those of a turn behind its first; `words`: those beside a call; `call_ids`: ids;
    `string_arguments`: it wants a call's arguments as a JSON string.

    `results`: tool turns; `bare_results`: also behind calls that stand in the text of their turn; `empty_result`: a tool turn
    without a word; `user_after_results`: a user turn right behind a tool turn; `loop_goes_on`: such a turn does not make it
    drop the reasoning of the loop.

    `reasoning`: the field that it takes reasoning from inside a running tool loop ("content": a typed part), None where it
    shows none; `reasoning_beside_words`: also where the turn has both words and a call; `reasoning_kept`: it still shows it
    when the user has spoken again. `thinking` and `effort`: how it is told whether to reason, and how much.
    """

    typed_content: bool = False
    system: bool = False
    late_system: LateSystem = LateSystem.LOST
    user_first: bool = False
    tools: bool = False
    calls: bool = False
    second_call: bool = False
    words: Beside = Beside.LOST
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

    @property
    def losses(self) -> Sequence[str]:
        """What has to be done around the template, or is not to be had, in words."""
        return [
            name
            for name, is_lost in (
                ("system", not self.system),
                ("late system turns", self.late_system is not LateSystem.IN_PLACE),
                ("conversations that no user turn begins", self.user_first),
                ("tools", not self.tools),
                ("calls", not self.calls),
                ("second call", self.calls and not self.second_call),
                ("text beside a call", self.calls and self.words is not Beside.KEPT),
                ("call ids", self.calls and self.call_ids in (CallIds.UNSEEN, CallIds.RENUMBERED)),
                ("results", not self.results),
                ("empty results", self.results and not self.empty_result),
                ("a user turn after results", self.results and not self.user_after_results),
                ("reasoning in a tool loop", self.reasoning is None),
                ("reasoning of earlier turns", not self.reasoning_kept),
            )
            if is_lost
        ]
