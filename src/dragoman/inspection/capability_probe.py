"""What can this template do? Asked once, at load, by rendering small conversations and looking for what was put in.

Nothing is read off the source and nothing off a name: a patched template answers for itself. Every probe is the same agent's
conversation with one thing changed, and every word in it is a needle that occurs nowhere else: a template can do a thing if
the needles come out, all of them and in their order. What it cannot do is done around it, in the fixed ways that `render`
documents.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from dragoman.inspection.template_variables import find_effort_variable, find_thinking_variable
from dragoman.prompt.capabilities import CallIds, LateSystem, TemplateCapabilities, TextBeforeCall
from dragoman.prompt.template import ChatTemplate, TemplateRefusal
from dragoman.prompt.template_variables import DEFAULT_VARIABLES

Message = dict[str, Any]

_PARAMETERS = {"type": "object", "properties": {"pq4": {"type": "string", "description": "Dq4"}}, "required": ["pq4"]}
_TOOL = {"type": "function", "function": {"name": "probe_tool", "description": "Dq3", "parameters": _PARAMETERS}}
_USER: Message = {"role": "user", "content": "Uq1"}
_ANSWER: Message = {"role": "assistant", "content": "Aq2"}
_AGAIN: Message = {"role": "user", "content": "Uq8"}
_SYSTEM: Message = {"role": "system", "content": "Sq7"}

_IDS = {CallIds.UNSEEN: "toolu_idq{}x", CallIds.NINE: "idq1idq{}a", CallIds.NUMBERED: "functions.probe_tool:{}"}
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "content")
_THINKING: tuple[Message, ...] = ({}, {"enable_thinking": True}, {"thinking": True})
"""Some templates show reasoning only where they are told to reason."""


def probe(template: ChatTemplate) -> TemplateCapabilities:
    """Render the probes. A template that renders not even a user turn raises `TemplateRefusal`."""
    benches = (_Bench(template, typed=typed, tools=tools) for typed in (False, True) for tools in ([_TOOL], None))
    bench = next((bench for bench in benches if bench.shows([_USER], "Uq1") and not _spelled_out(bench.text([_USER]))), None)
    if bench is None:
        raise TemplateRefusal(f"the chat template does not render a user turn{_reason(template)}")
    switch = find_thinking_variable(template, bench.written([_USER]))
    capabilities = TemplateCapabilities(
        typed_content=bench.typed,
        system=bench.shows([_SYSTEM, _USER], "Sq7", "Uq1"),
        late_system=_late_system(bench),
        user_first=not bench.shows([_ANSWER, _AGAIN], "Aq2", "Uq8") or not _goes_on(bench, [_ANSWER, _AGAIN]),
        tools=bench.holds([_USER], "probe_tool", "pq4"),
        bare_results=bench.shows([_USER, _ANSWER, bench.result(), _ANSWER | {"content": "Aq3"}], "Aq2", "Oq9", "Aq3"),
        thinking=switch,
        effort=find_effort_variable(template, bench.written([_USER]), switch),
    )
    return _tool_loop(bench, capabilities)


def _reason(template: ChatTemplate) -> str:
    """What the template, or the limit that it passes, says against a user turn."""
    try:
        template.render([_USER], **DEFAULT_VARIABLES)
    except TemplateRefusal as refusal:
        return f": {refusal}"
    return ""


@dataclass(frozen=True, slots=True)
class _Bench:
    """Renders probes of one template. `ids` and `string_arguments` are how its calls are written."""

    template: ChatTemplate
    typed: bool = False
    tools: list[Message] | None = None
    ids: CallIds = CallIds.UNSEEN
    string_arguments: bool = False
    variables: Message = field(default_factory=dict)

    def written(self, messages: list[Message]) -> list[Message]:
        """The messages with their content as this template wants it."""
        if not self.typed:
            return messages
        return [message | {"content": [{"type": "text", "text": message["content"]}]} for message in messages]

    def text(self, messages: list[Message]) -> str | None:
        """What is rendered; None where the template refuses."""
        try:
            variables = {**self.variables, "tools": self.tools} if self.tools else self.variables
            return self.template.render(self.written(messages), **{**DEFAULT_VARIABLES, **variables})
        except TemplateRefusal:
            return None

    def shows(self, messages: list[Message], *needles: str) -> bool:
        """Does the rendered text hold all of that, in that order?"""
        return re.search(".*?".join(map(re.escape, needles)), self.text(messages) or "", re.DOTALL) is not None

    def holds(self, messages: list[Message], *needles: str) -> bool:
        """Does the rendered text hold all of that, in any order?"""
        text = self.text(messages) or ""
        return all(needle in text for needle in needles)

    def calling(self, words: Any = "", *, calls: int = 1, **fields: Any) -> Message:
        """An assistant turn with calls; the value in the first is Vq50, in the second Vq51."""
        return {"role": "assistant", "content": words, "tool_calls": [*map(self._call, range(calls))], **fields}

    def _call(self, place: int) -> Message:
        value = f"Vq5{place}"
        arguments = f'{{"pq4": "{value}"}}' if self.string_arguments else {"pq4": value}
        return {"id": self.identifier(place), "type": "function", "function": {"name": "probe_tool", "arguments": arguments}}

    def identifier(self, place: int) -> str:
        """The id of the call in this place."""
        return _IDS[self.ids].format(place)

    def result(self, words: str = "Oq9", place: int = 0) -> Message:
        """A tool turn."""
        return {"role": "tool", "tool_call_id": self.identifier(place), "name": "probe_tool", "content": words}

    def loop(self, words: Any = "", **fields: Any) -> list[Message]:
        """A running tool loop of one call, whose turn has these words and fields."""
        return [_USER, self.calling(words, **fields), self.result()]


def _late_system(bench: _Bench) -> LateSystem:
    turns = [_USER, _SYSTEM, _ANSWER, _AGAIN]
    text = bench.text(turns)
    if text is None:
        return LateSystem.REFUSED
    if bench.shows(turns, "Uq1", "Sq7", "Aq2", "Uq8"):
        return LateSystem.IN_PLACE
    return LateSystem.HOISTED if "Sq7" in text else LateSystem.LOST


def _tool_loop(bench: _Bench, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    """What becomes of a tool loop, with the first spelling of calls that the template shows."""
    for string_arguments in (False, True):
        for ids in _IDS:
            calling = replace(bench, ids=ids, string_arguments=string_arguments)
            if calling.holds(calling.loop(), "probe_tool", "Vq50") and _has_name(calling):
                return _in_loop(calling, replace(capabilities, calls=True, string_arguments=string_arguments))
    return capabilities


def _goes_on(bench: _Bench, turns: list[Message]) -> bool:
    """Are these turns shown behind a system turn alone, and the system turn too, where the template knows any?"""
    if not bench.shows([_SYSTEM, _USER, *turns], "Sq7", "Uq1"):
        return True
    needles = [turn["content"] or "Vq50" for turn in turns]
    return bench.shows([_SYSTEM], "Sq7") and bench.shows([_SYSTEM, *turns], "Sq7", *needles)


def _loop_goes_first(bench: _Bench, second_call: bool) -> bool:
    """Is a tool loop shown that no user turn begins, and one behind it?"""
    first = [bench.calling(), bench.result()]
    second = [bench.calling(calls=2), bench.result("Oq90", 0), bench.result("Oq91", 1)] if second_call else first
    needles = ("Vq50", "Vq51", "Oq90", "Oq91") if second_call else ("Vq50", "Oq9")
    shown = bench.shows([*first, *second], "Vq50", "Oq9", *needles) and bench.shows([_ANSWER, *second], "Aq2", *needles)
    return shown and _goes_on(bench, first)


def _has_name(bench: _Bench) -> bool:
    """Is the name of a call shown, and not only that of the tool on offer or of the result?"""
    before, after = bench.text([_USER]), bench.text([_USER, bench.calling()])
    return after is None or after.count("probe_tool") > (before or "").count("probe_tool")


def _in_loop(bench: _Bench, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    two = [_USER, bench.calling(calls=2), bench.result("Oq90", 0), bench.result("Oq91", 1)]
    second_call = bench.shows(two, "Vq50", "Vq51")
    results = bench.shows([*bench.loop(), _ANSWER], "Vq50", "Oq9", "Aq2")
    results = results and (not second_call or bench.shows(two, "Oq90", "Oq91"))
    capabilities = _reasoning(bench, capabilities)
    return replace(
        capabilities,
        system=capabilities.system and (not results or bench.holds([_SYSTEM, *bench.loop()], "Sq7")),
        user_first=capabilities.user_first or (results and not _loop_goes_first(bench, second_call)),
        second_call=second_call,
        words=_words(bench),
        call_ids=_call_ids(bench),
        results=results,
        empty_result=results and bench.text([_USER, bench.calling(), bench.result("")]) == _without(bench, "Oq9"),
        loop_goes_on=_loop_goes_on(bench, capabilities),
        user_after_results=bench.shows([*bench.loop(), _AGAIN, _ANSWER], "Vq50", "Oq9", "Uq8", "Aq2"),
    )


def _without(bench: _Bench, needle: str) -> str:
    return (bench.text(bench.loop()) or needle).replace(needle, "")


def _words(bench: _Bench) -> TextBeforeCall:
    """What becomes of them in a running loop, and once the next one has begun."""
    again = [*bench.loop("Tq12"), _ANSWER, _AGAIN, bench.calling("Tq13"), bench.result()]
    if bench.shows(again, "Tq12", "Vq50", "Uq8", "Tq13", "Vq50"):
        return TextBeforeCall.KEPT
    return TextBeforeCall.AFTER if bench.shows(bench.loop("Tq12"), "Vq50", "Tq12") else TextBeforeCall.LOST


def _call_ids(bench: _Bench) -> CallIds:
    text = bench.text(bench.loop()) or ""
    if bench.ids is CallIds.NUMBERED or "functions.probe_tool:" in text:
        return _numbering(replace(bench, ids=CallIds.NUMBERED))
    if bench.ids is not CallIds.UNSEEN:
        return bench.ids
    return CallIds.PRINTED if bench.identifier(0) in text else CallIds.UNSEEN


def _numbering(bench: _Bench) -> CallIds:
    """Do the ids of two calls in two turns come out as they went in?"""
    second = {**bench.calling(), "tool_calls": bench.calling(calls=2)["tool_calls"][1:]}
    text = bench.text([*bench.loop(), second, bench.result("Oq91", 1)]) or ""
    first, other = (text.count(bench.identifier(place)) for place in (0, 1))
    return CallIds.NUMBERED if first == other else CallIds.RENUMBERED


def _reasoning(bench: _Bench, capabilities: TemplateCapabilities) -> TemplateCapabilities:
    """Where the template takes reasoning from, by the first field that it shows."""
    for variables in _THINKING:
        for name in _REASONING_FIELDS:
            thinking = replace(bench, variables=variables)
            thought: Any = [{"type": "thinking", "thinking": "Rq6"}] if name == "content" else "Rq6"
            turns = thinking.loop(**{name: thought})
            if not bench.typed and thinking.shows(turns, "Rq6", "Vq50") and not _spelled_out(thinking.text(turns)):
                words = {"content": [*thought, {"type": "text", "text": "Tq12"}]} if name == "content" else {name: thought}
                return replace(
                    capabilities,
                    reasoning=name,
                    reasoning_beside_words=thinking.shows(thinking.loop("Tq12", **words), "Rq6", "Tq12", "Vq50"),
                    reasoning_kept=thinking.shows([*turns, _ANSWER, _AGAIN], "Rq6", "Vq50", "Uq8"),
                )
    return capabilities


def _loop_goes_on(bench: _Bench, capabilities: TemplateCapabilities) -> bool:
    """Is the reasoning of a loop still there when a user turn follows a result, if it is there at all?"""
    if capabilities.reasoning in (None, "content"):
        return True
    turns = bench.loop(**{capabilities.reasoning: "Rq6"})
    text = bench.text([*turns, _AGAIN])
    return text is None or "Rq6" in text or not bench.shows(turns, "Rq6")


def _spelled_out(text: str | None) -> bool:
    """Was a list of typed parts printed as the value that it is?"""
    return re.search(r"""["'](?:thinking|text)["']:""", text or "") is not None
