"""Finds the variables that turn thinking on and set the effort, by rendering with each of them and comparing the texts."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dragoman.prompt.profile import DEFAULT_VARIABLES, EffortVariable, ThinkingVariable
from dragoman.prompt.template import ChatTemplate, Messages, TemplateRefusal

_SWITCHES: Sequence[tuple[str, Any, Any]] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_mode", "enabled", "disabled"),
    ("reasoning", True, False),
    ("reasoning_effort", "high", "none"),
    ("reasoning_effort", "high", "no_think"),
    ("thinking_budget", -1, 0),
)
"""Variables that templates use, with their values for on and off."""

_EFFORTS = ("reasoning_effort", "thinking_effort")

LEVELS = ("low", "medium", "high", "xhigh", "max")
"""The values of the API's `effort` (THK-14), from least to most."""

_COMMON = ("low", "medium", "high")
"""The levels for a template that prints any value: its model was trained with these."""

_NONSENSE = "Eq13"


def find_thinking_variable(template: ChatTemplate, messages: Messages) -> ThinkingVariable | None:
    """The first variable that changes the prompt; one with string values has to change its end."""
    default = _render(template, messages)
    for variable, on, off in _SWITCHES:
        rendered = [_render(template, messages, {variable: value}) for value in (on, off)]
        if None in rendered or rendered[0] == rendered[1]:
            continue
        if isinstance(on, bool) or not (_same_end(*rendered) or _prints(template, messages, variable)):
            return ThinkingVariable(variable, on, off, {rendered[0]: True, rendered[1]: False}.get(default))
    return None


def find_effort_variable(template: ChatTemplate, messages: Messages, switch: ThinkingVariable | None) -> EffortVariable | None:
    """The variable for the effort, with the nearest supported level for each level of the API."""
    on = switch.variables(enabled=True) if switch else {}
    for variable in _EFFORTS:
        rendered = {level: _render(template, messages, {**on, variable: level}) for level in (*LEVELS, _NONSENSE)}
        nonsense = rendered.pop(_NONSENSE)
        if _prints(template, messages, variable, on):
            return EffortVariable(variable, _nearest(_COMMON, LEVELS))
        taken = [level for level, text in rendered.items() if text is not None and text != nonsense]
        if taken and nonsense is None and len({rendered[level] for level in taken}) > 1:
            return EffortVariable(variable, _nearest(taken, LEVELS))
        if taken and nonsense is not None:  # other values mean the default: only levels between supported ones are mapped
            between = LEVELS[LEVELS.index(taken[0]) : LEVELS.index(taken[-1]) + 1]
            return EffortVariable(variable, _nearest(taken, between))
    return None


def _nearest(taken: Sequence[str], levels: Iterable[str]) -> dict[str, str]:
    """For each level the nearest supported one, the greater of two."""
    place = LEVELS.index
    return {
        level: min(taken, key=lambda candidate: (abs(place(candidate) - place(level)), -place(candidate))) for level in levels
    }


def _prints(
    template: ChatTemplate, messages: Messages, variable: str, others: Mapping[str, Any] = MappingProxyType({})
) -> bool:
    """Whether any value is put into the prompt unchanged."""
    return _NONSENSE in (_render(template, messages, {**others, variable: _NONSENSE}) or "")


def _same_end(first: str | None, second: str | None) -> bool:
    return (first or "")[-20:] == (second or "")[-20:]


def _render(template: ChatTemplate, messages: Messages, variables: Mapping[str, Any] | None = None) -> str | None:
    try:
        return template.render(messages, **{**DEFAULT_VARIABLES, **(variables or {})})
    except TemplateRefusal:
        return None
