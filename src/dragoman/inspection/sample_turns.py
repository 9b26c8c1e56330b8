"""Sample turns: known assistant turns, as a chat template renders them.

A template renders the history in the form that its model was trained to write. So it renders a question with a known turn
after it, and the turn is sliced out: it is the text after the longest beginning that the rendering shares with a prompt.
Prompts end differently with thinking on and off, and a shared beginning may end inside a tag, so a turn is sliced in several
ways (`Slice`); a dialect has read the turn if it reads one of them.

Templates refuse forms that they do not support: two calls in a turn, arguments that are not a string, ids of another form,
empty content. So all combinations are tried.
"""

import json
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple, Protocol

from dragoman.conversation.types import ToolCall
from dragoman.inspection.conversations import (
    ANSWER,
    CALLS,
    THOUGHT,
    TOOLS,
    USER,
    WORDS,
    Message,
    call_id,
    call_turn,
    typed,
)
from dragoman.prompt.profile import CallIds


class Template(Protocol):
    """A chat template. It is untrusted code: `render` may raise anything."""

    source: str

    def render(self, messages: Sequence[Message], *, generation_prompt: bool = True, **variables: Any) -> str:
        """The text of these messages; with `generation_prompt`, up to the start of the answer."""


_DUMPED = ('"type"', "'type'")
"""A turn that contains one of these printed its content as data instead of rendering it."""

Variables = dict[str, Any]
_ON: Variables = {"enable_thinking": True, "thinking": True}
_OFF: Variables = {"enable_thinking": False, "thinking": False}
_DECLARED: Variables = {"tools": [tool.function for tool in TOOLS]}
_DECLARED_OTHERWISE: Variables = {**_DECLARED, "functions": json.dumps(_DECLARED["tools"]), "datetime": "today"}


class Slice(NamedTuple):
    """The text of a turn, and the text before it."""

    before: str
    turn: str


@dataclass(frozen=True, slots=True)
class SampleTurns:
    """The content of a turn, and its slices of the rendering."""

    slices: Sequence[Slice]
    calls: Sequence[ToolCall] = ()
    thought: str = ""

    def shows(self, text: str) -> bool:
        """Whether all slices contain the text."""
        return bool(self.slices) and all(text in slice_.turn for slice_ in self.slices)


class _TypedContent:
    """A template that needs content as typed parts, such as those of some vision models."""

    def __init__(self, template: Template) -> None:
        self.source = template.source
        self._template = template

    def render(self, messages: Sequence[Message], *, generation_prompt: bool = True, **variables: Any) -> str:
        """As `Template`."""
        return self._template.render(typed(messages), generation_prompt=generation_prompt, **variables)


def as_understood(template: Template) -> Template:
    """The template, wrapped if it needs content as typed parts."""
    rendered = "".join(_render(template, [USER], variables) for variables in ({}, _DECLARED_OTHERWISE))
    return template if USER["content"] in rendered else _TypedContent(template)


def with_calls(template: Template) -> Iterator[Sequence[SampleTurns]]:
    """The two calls in one turn or in two, in every form of calls that the template renders."""
    seen: set[str] = set()
    questions = [_QuestionPrompts.of(template, variables) for variables in (_DECLARED, _DECLARED_OTHERWISE, {})]
    for parts, question, as_string, numbered, content in product(
        ((CALLS,), tuple((call,) for call in CALLS)),
        questions,
        (False, True),
        (False, True),
        ("", None),
    ):
        turns = [call_turn(_numbered(part) if numbered else part, content, string_arguments=as_string) for part in parts]
        samples = [SampleTurns(question.slices(template, turn), part) for turn, part in zip(turns, parts, strict=True)]
        if all(sample.shows(sample.calls[0].name) for sample in samples):
            fresh = {slice_.turn for sample in samples for slice_ in sample.slices} - seen
            seen |= fresh
            if fresh:
                yield samples


def with_words(template: Template) -> SampleTurns:
    """A plain answer."""
    return SampleTurns(_QuestionPrompts.of(template, {}).slices(template, ANSWER))


def with_thought(template: Template) -> list[SampleTurns]:
    """Reasoning before an answer or a call, in every field from which the template renders it."""
    fields: Message = dict.fromkeys(("reasoning_content", "reasoning", "thinking"), THOUGHT)
    turns: list[Message] = [
        ANSWER | fields,
        call_turn(CALLS[:1], **fields),
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": WORDS}],
        },
    ]
    questions = [_QuestionPrompts.of(template, variables) for variables in (_DECLARED | _ON, _DECLARED)]
    samples = [SampleTurns(question.slices(template, turn), thought=THOUGHT) for turn, question in product(turns, questions)]
    return [sample for sample in samples if sample.shows(THOUGHT) and not any(map(sample.shows, _DUMPED))]


def tails(template: Template) -> list[str]:
    """The text between the question and the answer: by default, with thinking on, with thinking off."""
    bare = _render(template, [USER], {}, generation_prompt=False)
    prompts = [_render(template, [USER], switched) for switched in ({}, _ON, _OFF)]
    return [prompt[_shared(prompt, bare) :] for prompt in prompts]


def openings(template: Template) -> str:
    """All text that the template adds itself around a question, with and without tools, thinking on and off."""
    return "".join(
        _render(template, [USER], declared | switched) for declared, switched in product(({}, _DECLARED), ({}, _ON, _OFF))
    )


def _numbered(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls with the ids that some templates need."""
    return [replace(call, id=call_id(CallIds.NUMBERED, place, call.name)) for place, call in enumerate(calls)]


class _QuestionPrompts(NamedTuple):
    """The prompts that the template makes of the question with these variables."""

    variables: Variables
    prompts: Sequence[str]

    @classmethod
    def of(cls, template: Template, variables: Variables) -> "_QuestionPrompts":
        prompts = [_render(template, [USER], variables | switched) for switched in ({}, _ON, _OFF)]
        return cls(variables, [*prompts, _render(template, [USER], variables, generation_prompt=False)])

    def slices(self, template: Template, turn: Message) -> list[Slice]:
        """The turn after each prompt, and after the beginning that it shares with the prompt; none if it is refused."""
        whole = _render(template, [USER, turn], self.variables, generation_prompt=False)
        ends = [(prompt, _shared(whole, prompt)) for prompt in self.prompts if whole and prompt]
        return list(dict.fromkeys(Slice(before, whole[end:]) for prompt, end in ends for before in (whole[:end], prompt)))


def _shared(text: str, other: str) -> int:
    """The length of the shared beginning of two texts, without an incomplete tag at its end."""
    length = bisect(range(1, min(len(text), len(other)) + 1), False, key=lambda end: text[:end] != other[:end])
    shared = text[:length]
    opener = max(shared.rfind("<"), shared.rfind("["))
    return opener if opener > max(shared.rfind(">"), shared.rfind("]")) and length < len(text) else length


def _render(template: Template, messages: Sequence[Message], variables: Variables, *, generation_prompt: bool = True) -> str:
    """The text, or an empty one if the template refuses."""
    try:
        return template.render(messages, generation_prompt=generation_prompt, **variables)
    except Exception:  # untrusted code can raise anything
        return ""
