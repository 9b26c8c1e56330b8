"""What can this template do? Asked once, at load, by rendering small conversations and looking for what was put in.

Nothing is read off the source and nothing off a name: a patched template answers for itself. What it cannot do is done around
it, in the fixed ways that `render` documents.
"""

from dataclasses import dataclass
from typing import Any

from dragoman.prompt.template import ChatTemplate, Messages, TemplateRefusal

_USER = {"role": "user", "content": "Uq1"}
_ANSWER = {"role": "assistant", "content": "Aq2"}
_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "Dq3",
        "parameters": {"type": "object", "properties": {"pq4": {"type": "string"}}, "required": ["pq4"]},
    },
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What a template renders by itself.

    `system`: a system turn at the top. `late_system`: one after a user turn, in its place. `tools`: the list of tools.
    `calls`: the calls of an assistant turn, all of them, and the text beside them. `results`: tool turns. `reasoning`:
    `reasoning_content` inside a running tool loop. `string_arguments`: it wants a call's arguments as a JSON string.
    `thinking_switch`: the variable that turns reasoning on and off.
    """

    system: bool
    late_system: bool
    tools: bool
    calls: bool
    results: bool
    reasoning: bool
    string_arguments: bool
    thinking_switch: str | None


def probe(template: ChatTemplate) -> Traits:
    """Render the probes. A template that renders not even a user turn raises `TemplateRefusal`."""
    if "Uq1" not in template.render([_USER]):
        raise TemplateRefusal("the chat template does not render a user turn")
    as_object = _renders_calls(template, {"pq4": "Vq5"})
    as_string = not as_object and _renders_calls(template, '{"pq4": "Vq5"}')
    tools = _shows(template, [_USER], "probe_tool", "pq4", tools=[_TOOL])
    calls = as_object or as_string
    loop = _loop({"pq4": "Vq5"} if as_object else '{"pq4": "Vq5"}', reasoning_content="Rq6")
    return Traits(
        system=_shows(template, [{"role": "system", "content": "Sq7"}, _USER], "Sq7", "Uq1"),
        late_system=_shows(
            template,
            [_USER, {"role": "system", "content": "Sq7"}, _ANSWER, _USER | {"content": "Uq8"}],
            "Uq1",
            "Sq7",
            "Aq2",
            "Uq8",
        ),
        tools=tools,
        calls=calls,
        results=tools and calls and _shows(template, loop, "Vq5", "Oq9", tools=[_TOOL]),
        reasoning=calls and _shows(template, loop, "Rq6", "Vq5", tools=[_TOOL]),
        string_arguments=as_string,
        thinking_switch=_thinking_switch(template),
    )


def _call(arguments: Any, identifier: str) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": "probe_tool", "arguments": arguments}}


def _loop(arguments: Any, **assistant: str) -> Messages:
    return [
        _USER,
        {"role": "assistant", "content": "", "tool_calls": [_call(arguments, "callidq10")], **assistant},
        {"role": "tool", "tool_call_id": "callidq10", "name": "probe_tool", "content": "Oq9"},
    ]


def _renders_calls(template: ChatTemplate, arguments: Any) -> bool:
    """Both calls of a turn, and the text in front of them."""
    calls = [_call(arguments, "callidq10"), _call(arguments, "callidq11")]
    turns: Messages = [
        _USER,
        {"role": "assistant", "content": "Tq12", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "callidq10", "name": "probe_tool", "content": "Oq9"},
        {"role": "tool", "tool_call_id": "callidq11", "name": "probe_tool", "content": "Oq9"},
    ]
    return _shows(template, turns, "Tq12", "probe_tool", "Vq5", "probe_tool", "Vq5", tools=[_TOOL])


def _shows(template: ChatTemplate, turns: Messages, *needles: str, **variables: Any) -> bool:
    """Does the rendered text hold all of that, in that order?"""
    try:
        text = template.render(turns, **variables)
    except TemplateRefusal:
        return False
    position = 0
    for needle in needles:
        position = text.find(needle, position)
        if position < 0:
            return False
        position += len(needle)
    return True


def _thinking_switch(template: ChatTemplate) -> str | None:
    for name in ("enable_thinking", "thinking"):
        try:
            if template.render([_USER], **{name: True}) != template.render([_USER], **{name: False}):
                return name
        except TemplateRefusal:
            continue
    return None
