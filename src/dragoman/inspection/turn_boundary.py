"""Finds the boundary between a prompt and the answer that the model writes after it.

A prompt ends with the header of the assistant turn, and often with more, such as empty reasoning when thinking is off. Many
templates leave that out of the history, or write it differently, and then no prompt begins with the previous one. So a short
conversation is rendered turn by turn, with the missing text put before the answers in each possible way, and the way in which
most prompts begin with the previous one is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from dragoman.conversation import ThinkingPolicy
from dragoman.inspection.conversations import ANSWER, THOUGHT, USER, WORDS, Message, call_turn, probe_calls, result_turn
from dragoman.prompt import Renderer, TemplateRefusal
from dragoman.prompt.profile import CallIds, TemplateCapabilities, TurnBoundary

Render = Callable[[Sequence[Message]], str]

_FORM = CallIds.NINE
"""The form of ids that every template takes, except those that need numbered ones."""


def find_boundary(renderer: Renderer) -> TurnBoundary:
    """The boundary with which most prompts begin with the previous one."""
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
            ways, key=lambda way: _appending(unthinking, _turns(capabilities, way.missing + WORDS, way.fields), extra)
        )
    thought = dialect.encode_thinking(THOUGHT, WORDS)
    turns = _turns(capabilities, thought + WORDS, {})
    answers = sum(turn["role"] == "assistant" for turn in turns)
    return replace(boundary, keeps_reasoning=bool(thought) and _appending(thinking, turns, extra) * 2 > answers)


def _turns(capabilities: TemplateCapabilities, content: str, fields: Message) -> list[Message]:
    """A conversation in which every assistant turn has that content."""
    turn = {"role": "assistant", "content": content, **fields}
    if not (capabilities.calls and capabilities.results):
        return [USER, turn, USER, turn, USER]
    calls = probe_calls(CallIds.NUMBERED if capabilities.call_ids is CallIds.NUMBERED else _FORM)
    calling = call_turn(calls, content, string_arguments=capabilities.string_arguments, **fields)
    return [USER, calling, result_turn(calls[0].id), turn, USER, turn, USER]


def _difference(render: Render) -> tuple[str, str]:
    """The text before an answer that only the prompt has, and the whitespace that only the history has."""
    try:
        prompt = render([USER])
        history = render([USER, ANSWER, USER])
    except TemplateRefusal:
        return "", ""
    before, found, _ = history.partition(WORDS)
    if not found:
        return "", ""
    missing = prompt.removeprefix(before) if prompt.startswith(before) else ""
    extra = before.removeprefix(prompt) if before.startswith(prompt) else ""
    return missing, "" if extra.strip() else extra


def _appending(render: Render, turns: Sequence[Message], extra: str) -> int:
    """The number of prompts with which, together with the answer after them, the next prompt begins."""
    answers = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
    try:
        prompts = [render(turns[:place]) for place in [*answers, len(turns)]]
    except TemplateRefusal:
        return 0
    contents = [turns[place]["content"] for place in answers]
    return sum(
        after.startswith(prompt + extra + _not_written(prompt, content))
        for (prompt, after), content in zip(pairwise(prompts), contents, strict=True)
    )


def _not_written(prompt: str, content: str) -> str:
    """The content without a beginning that the prompt already ends with."""
    overlap = next(length for length in range(len(content), -1, -1) if prompt.endswith(content[:length]))
    return content[overlap:]


def _call_gap(render: Render) -> str:
    """The whitespace between the text of a turn and its call."""
    try:
        calls = probe_calls(_FORM)
        text = render([USER, call_turn(calls, WORDS), result_turn(calls[0].id)])
    except TemplateRefusal:
        return ""
    rest = text.partition(WORDS)[2]
    return rest[: len(rest) - len(rest.lstrip())]
