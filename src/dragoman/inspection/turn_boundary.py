"""The boundary between a prompt and what the model writes behind it.

A prompt ends where the model begins: with the header of its turn, and often with more, such as the empty thought of a model
that is told not to think. In the history many templates leave that out again, or write it otherwise, and then every prompt
breaks with the one before it. So a short conversation is rendered turn by turn, with what seems to be missing put in front of
the words in each of the ways that there are, and the way by which most prompts begin the next is the one to take.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from dragoman.conversation import ThinkingPolicy
from dragoman.prompt import Renderer, TemplateRefusal
from dragoman.prompt.capabilities import CallIds, TemplateCapabilities
from dragoman.prompt.turn_boundary import Message, TurnBoundary

Render = Callable[[Sequence[Message]], str]

_USER: Message = {"role": "user", "content": "Uq1"}
_ID = "idq1idq10"
_CALL = {"id": _ID, "type": "function", "function": {"name": "probe_tool", "arguments": {"pq4": "Vq5"}}}
_CALLED = {**_CALL, "function": {"name": "probe_tool", "arguments": '{"pq4": "Vq5"}'}}
_RESULT: Message = {"role": "tool", "tool_call_id": _ID, "name": "probe_tool", "content": "Oq9"}
_WORDS = "Aq2"
_THOUGHT = "Rq6"


def find_boundary(renderer: Renderer) -> TurnBoundary:
    """The boundary by which most prompts begin the next one."""
    capabilities, dialect = renderer.profile.capabilities, renderer.profile.dialect
    unthinking = partial(renderer.text, thinking=ThinkingPolicy())
    thinking = partial(renderer.text, thinking=ThinkingPolicy(enabled=True))
    loop = capabilities.calls and capabilities.results
    boundary = TurnBoundary(call_gap=_call_gap(unthinking) if loop else "")
    missing, extra = _difference(unthinking)
    boundary = replace(boundary, extra=extra)
    if missing:
        ways = [boundary, *(replace(boundary, missing=missing, fields=fields) for fields in ({}, {"reasoning_content": ""}))]
        boundary = max(
            ways, key=lambda way: _appending(unthinking, _turns(capabilities, way.missing + _WORDS, way.fields), extra)
        )
    thought = dialect.encode_thinking(_THOUGHT, _WORDS)
    turns = _turns(capabilities, thought + _WORDS, {})
    spoken = sum(turn["role"] == "assistant" for turn in turns)
    return replace(boundary, keeps_reasoning=bool(thought) and _appending(thinking, turns, extra) * 2 > spoken)


def _turns(capabilities: TemplateCapabilities, content: str, fields: Message) -> list[Message]:
    """A conversation in which every assistant turn has that content."""
    turn = {"role": "assistant", "content": content, **fields}
    if not (capabilities.calls and capabilities.results):
        return [_USER, turn, _USER, turn, _USER]
    identifier = "functions.probe_tool:0" if capabilities.call_ids is CallIds.NUMBERED else _ID
    call = {**(_CALLED if capabilities.string_arguments else _CALL), "id": identifier}
    return [_USER, {**turn, "tool_calls": [call]}, {**_RESULT, "tool_call_id": identifier}, turn, _USER, turn, _USER]


def _difference(render: Render) -> tuple[str, str]:
    """What the prompt has in front of the words and the history has not, and the space for which it is the other way round."""
    try:
        prompt = render([_USER])
        history = render([_USER, {"role": "assistant", "content": _WORDS}, _USER])
    except TemplateRefusal:
        return "", ""
    before, found, _ = history.partition(_WORDS)
    if not found:
        return "", ""
    missing = prompt.removeprefix(before) if prompt.startswith(before) else ""
    extra = before.removeprefix(prompt) if before.startswith(prompt) else ""
    return missing, "" if extra.strip() else extra


def _appending(render: Render, turns: Sequence[Message], extra: str) -> int:
    """How many prompts of this conversation, with what the model wrote behind them, begin the next one."""
    spoken = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
    try:
        prompts = [render(turns[:place]) for place in [*spoken, len(turns)]]
    except TemplateRefusal:
        return 0
    contents = [turns[place]["content"] for place in spoken]
    return sum(
        after.startswith(prompt + extra + _behind(prompt, content))
        for (prompt, after), content in zip(pairwise(prompts), contents, strict=True)
    )


def _behind(prompt: str, content: str) -> str:
    """What of the content the prompt does not end with already."""
    overlap = next(length for length in range(len(content), -1, -1) if prompt.endswith(content[:length]))
    return content[overlap:]


def _call_gap(render: Render) -> str:
    """The space between the words of a turn and its call."""
    try:
        text = render([_USER, {"role": "assistant", "content": _WORDS, "tool_calls": [_CALL]}, _RESULT])
    except TemplateRefusal:
        return ""
    behind = text.partition(_WORDS)[2]
    return behind[: len(behind) - len(behind.lstrip())]
