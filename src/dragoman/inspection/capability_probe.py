"""Probes the capabilities of a chat template: renders small conversations and checks that their content is in the text.

The result does not depend on the source or a name, so that it is right for modified templates too. All probes are variants of
one conversation of an agent, in which every text is a marker that occurs nowhere else: a template has a capability if all
markers are rendered, in order. The module `prompt.render` describes how missing capabilities are replaced.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from dragoman.inspection.conversations import (
    ANSWER,
    FORMS_OF_IDS,
    NEXT_USER,
    SYSTEM,
    TOOL,
    USER,
    Message,
    call_id,
    call_turn,
    probe_calls,
    result_turn,
    typed,
)
from dragoman.inspection.image_notation import find_image_notation
from dragoman.inspection.template_variables import find_effort_variable, find_thinking_variable
from dragoman.prompt.profile import DEFAULT_VARIABLES, CallIds, LateSystem, TemplateCapabilities, TextBeforeCall
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "content")
_THINKING: tuple[Message, ...] = ({}, {"enable_thinking": True}, {"thinking": True})
"""Some templates render reasoning only if thinking is on."""


def probe(template: ChatTemplate) -> TemplateCapabilities:
    """The capabilities of a template. Raises `TemplateRefusal` if it cannot render a user turn."""
    renderers = (
        _ProbeRenderer(template, typed=typed, tools=tools) for typed in (False, True) for tools in ([TOOL.function], None)
    )
    renderer = next(
        (renderer for renderer in renderers if renderer.shows([USER], "Uq1") and not _is_dumped(renderer.text([USER]))), None
    )
    if renderer is None:
        raise TemplateRefusal(f"the chat template does not render a user turn{_reason(template)}")
    switch = find_thinking_variable(template, renderer.written([USER]))
    capabilities = TemplateCapabilities(
        typed_content=renderer.typed,
        system=renderer.shows([SYSTEM, USER], "Sq7", "Uq1"),
        late_system=_late_system(renderer),
        user_first=not renderer.shows([ANSWER, NEXT_USER], "Aq2", "Uq8") or not _continues(renderer, [ANSWER, NEXT_USER]),
        tools=renderer.holds([USER], "probe_tool", "pq4"),
        bare_results=renderer.shows([USER, ANSWER, renderer.result(), ANSWER | {"content": "Aq3"}], "Aq2", "Oq9", "Aq3"),
        thinking=switch,
        effort=find_effort_variable(template, renderer.written([USER]), switch),
        image=find_image_notation(template),
    )
    return _tool_loop(renderer, capabilities)


def _reason(template: ChatTemplate) -> str:
    """The reason for which the template refuses a user turn, or the limit that it exceeds."""
    try:
        template.render([USER], **DEFAULT_VARIABLES)
    except TemplateRefusal as refusal:
        return f": {refusal}"
    return ""


@dataclass(frozen=True, slots=True)
class _ProbeRenderer:
    """Renders probes with one template. `ids` and `string_arguments` are the form of the calls in them."""

    template: ChatTemplate
    typed: bool = False
    tools: list[Message] | None = None
    ids: CallIds = CallIds.UNSEEN
    string_arguments: bool = False
    variables: Message = field(default_factory=dict)

    def written(self, messages: list[Message]) -> list[Message]:
        """The messages with their content in the form that the template needs."""
        return typed(messages) if self.typed else messages

    def text(self, messages: list[Message]) -> str | None:
        """The rendered text; None if the template refuses."""
        try:
            variables = {**self.variables, "tools": self.tools} if self.tools else self.variables
            return self.template.render(self.written(messages), **{**DEFAULT_VARIABLES, **variables})
        except TemplateRefusal:
            return None

    def shows(self, messages: list[Message], *markers: str) -> bool:
        """Whether the rendered text contains all markers in this order."""
        return re.search(".*?".join(map(re.escape, markers)), self.text(messages) or "", re.DOTALL) is not None

    def holds(self, messages: list[Message], *markers: str) -> bool:
        """Whether the rendered text contains all markers in any order."""
        text = self.text(messages) or ""
        return all(marker in text for marker in markers)

    def with_calls(self, text: Any = "", *, calls: int = 1, **fields: Any) -> Message:
        """An assistant turn with calls; the value in the first is Vq50, in the second Vq51."""
        return call_turn(probe_calls(self.ids, calls), text, string_arguments=self.string_arguments, **fields)

    def result(self, words: str = "Oq9", place: int = 0) -> Message:
        """A tool turn with the result of the call at this index."""
        return result_turn(call_id(self.ids, place), words)

    def loop(self, text: Any = "", **fields: Any) -> list[Message]:
        """A running tool loop with one call, whose turn has this text and these fields."""
        return [USER, self.with_calls(text, **fields), self.result()]


def _late_system(renderer: _ProbeRenderer) -> LateSystem:
    turns = [USER, SYSTEM, ANSWER, NEXT_USER]
    text = renderer.text(turns)
    if text is None:
        return LateSystem.REFUSED
    if renderer.shows(turns, "Uq1", "Sq7", "Aq2", "Uq8"):
        return LateSystem.IN_PLACE
    return LateSystem.HOISTED if "Sq7" in text else LateSystem.LOST


def _tool_loop(renderer: _ProbeRenderer, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    """The capabilities with those in a tool loop, with the first form of calls that the template renders."""
    for string_arguments in (False, True):
        for ids in FORMS_OF_IDS:
            candidate = replace(renderer, ids=ids, string_arguments=string_arguments)
            if candidate.holds(candidate.loop(), "probe_tool", "Vq50") and _has_name(candidate):
                return _in_loop(candidate, replace(capabilities, calls=True, string_arguments=string_arguments))
    return capabilities


def _continues(renderer: _ProbeRenderer, turns: list[Message]) -> bool:
    """Whether these turns are rendered after only a system turn, and the system turn too, if the template renders any."""
    if not renderer.shows([SYSTEM, USER, *turns], "Sq7", "Uq1"):
        return True
    markers = [turn["content"] or "Vq50" for turn in turns]
    return renderer.shows([SYSTEM], "Sq7") and renderer.shows([SYSTEM, *turns], "Sq7", *markers)


def _begins_with_loop(renderer: _ProbeRenderer, second_call: bool) -> bool:
    """Whether two consecutive tool loops are rendered in a conversation that begins without a user turn."""
    first = [renderer.with_calls(), renderer.result()]
    second = [renderer.with_calls(calls=2), renderer.result("Oq90", 0), renderer.result("Oq91", 1)] if second_call else first
    markers = ("Vq50", "Vq51", "Oq90", "Oq91") if second_call else ("Vq50", "Oq9")
    shown = renderer.shows([*first, *second], "Vq50", "Oq9", *markers) and renderer.shows([ANSWER, *second], "Aq2", *markers)
    return shown and _continues(renderer, first)


def _has_name(renderer: _ProbeRenderer) -> bool:
    """Whether the name in a call is rendered, and not only that of the declared tool or of the result."""
    before, after = renderer.text([USER]), renderer.text([USER, renderer.with_calls()])
    return after is None or after.count("probe_tool") > (before or "").count("probe_tool")


def _in_loop(renderer: _ProbeRenderer, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    two = [USER, renderer.with_calls(calls=2), renderer.result("Oq90", 0), renderer.result("Oq91", 1)]
    second_call = renderer.shows(two, "Vq50", "Vq51")
    results = renderer.shows([*renderer.loop(), ANSWER], "Vq50", "Oq9", "Aq2")
    results = results and (not second_call or renderer.shows(two, "Oq90", "Oq91"))
    capabilities = _reasoning(renderer, capabilities)
    return replace(
        capabilities,
        system=capabilities.system and (not results or renderer.holds([SYSTEM, *renderer.loop()], "Sq7")),
        user_first=capabilities.user_first or (results and not _begins_with_loop(renderer, second_call)),
        second_call=second_call,
        words=_text_before_call(renderer),
        call_ids=_call_ids(renderer),
        results=results,
        empty_result=results and renderer.text([USER, renderer.with_calls(), renderer.result("")]) == _without(renderer, "Oq9"),
        loop_goes_on=_keeps_loop_reasoning(renderer, capabilities),
        user_after_results=renderer.shows([*renderer.loop(), NEXT_USER, ANSWER], "Vq50", "Oq9", "Uq8", "Aq2"),
    )


def _without(renderer: _ProbeRenderer, marker: str) -> str:
    return (renderer.text(renderer.loop()) or marker).replace(marker, "")


def _text_before_call(renderer: _ProbeRenderer) -> TextBeforeCall:
    """The treatment of text before a call, in a running tool loop and in an earlier one."""
    again = [*renderer.loop("Tq12"), ANSWER, NEXT_USER, renderer.with_calls("Tq13"), renderer.result()]
    if renderer.shows(again, "Tq12", "Vq50", "Uq8", "Tq13", "Vq50"):
        return TextBeforeCall.KEPT
    return TextBeforeCall.AFTER if renderer.shows(renderer.loop("Tq12"), "Vq50", "Tq12") else TextBeforeCall.LOST


def _call_ids(renderer: _ProbeRenderer) -> CallIds:
    text = renderer.text(renderer.loop()) or ""
    if renderer.ids is CallIds.NUMBERED or "functions.probe_tool:" in text:
        return _numbering(replace(renderer, ids=CallIds.NUMBERED))
    if renderer.ids is not CallIds.UNSEEN:
        return renderer.ids
    return CallIds.PRINTED if call_id(renderer.ids, 0) in text else CallIds.UNSEEN


def _numbering(renderer: _ProbeRenderer) -> CallIds:
    """Whether the ids of two calls in two turns are rendered unchanged."""
    second = {**renderer.with_calls(), "tool_calls": renderer.with_calls(calls=2)["tool_calls"][1:]}
    text = renderer.text([*renderer.loop(), second, renderer.result("Oq91", 1)]) or ""
    first, other = (text.count(call_id(renderer.ids, place)) for place in (0, 1))
    return CallIds.NUMBERED if first == other else CallIds.RENUMBERED


def _reasoning(renderer: _ProbeRenderer, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    """The capabilities with those for reasoning, from the first field that the template renders."""
    for variables in _THINKING:
        for name in _REASONING_FIELDS:
            thinking = replace(renderer, variables=variables)
            thought: Any = [{"type": "thinking", "thinking": "Rq6"}] if name == "content" else "Rq6"
            turns = thinking.loop(**{name: thought})
            if not renderer.typed and thinking.shows(turns, "Rq6", "Vq50") and not _is_dumped(thinking.text(turns)):
                words = {"content": [*thought, {"type": "text", "text": "Tq12"}]} if name == "content" else {name: thought}
                return replace(
                    capabilities,
                    reasoning=name,
                    reasoning_beside_words=thinking.shows(thinking.loop("Tq12", **words), "Rq6", "Tq12", "Vq50"),
                    reasoning_kept=thinking.shows([*turns, ANSWER, NEXT_USER], "Rq6", "Vq50", "Uq8"),
                )
    return capabilities


def _keeps_loop_reasoning(renderer: _ProbeRenderer, capabilities: TemplateCapabilities) -> bool:
    """Whether the reasoning of a tool loop, if it is rendered, still is when a user turn follows a result."""
    if capabilities.reasoning in (None, "content"):
        return True
    turns = renderer.loop(**{capabilities.reasoning: "Rq6"})
    text = renderer.text([*turns, NEXT_USER])
    return text is None or "Rq6" in text or not renderer.shows(turns, "Rq6")


def _is_dumped(text: str | None) -> bool:
    """Whether a list of typed parts was printed as a Python or JSON value."""
    return re.search(r"""["'](?:thinking|text)["']:""", text or "") is not None
