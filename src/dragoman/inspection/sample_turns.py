"""Specimens: assistant turns of which we know what they say, as a chat template writes them.

A template writes history the way its model was trained to write. So we let it render a user's question with a turn of ours
behind it, and cut that turn out: it is what follows the longest beginning that the rendering shares with a prompt. Prompts end
differently with thinking on and off, and a shared beginning may end inside a tag, so a turn is cut out in several ways
(`Slice`), and whoever can make sense of one of them has read it.

Templates refuse what they do not like: two calls in a turn, arguments that are no string, ids of another shape, empty content.
Nothing says what this one likes but trying.
"""

import json
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, Protocol

from dragoman.conversation.types import JsonObject, Tool, ToolCall

Message = dict[str, Any]


class Template(Protocol):
    """A chat template. It is a stranger's program: `render` may raise anything."""

    source: str

    def render(self, messages: Sequence[Message], *, generation_prompt: bool = True, **variables: Any) -> str:
        """The text of these messages; with `generation_prompt`, up to where the model goes on."""


_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where to look."},
        "depth": {"type": "integer", "description": "How deep to look."},
        "hidden": {"type": "boolean", "description": "Whether hidden ones count."},
        "filter": {
            "type": "object",
            "description": "What to look for.",
            "properties": {
                "kind": {"type": "string", "description": "Their kind."},
                "sizes": {"type": "array", "items": {"type": "integer"}, "description": "Their sizes."},
            },
            "additionalProperties": {},
        },
    },
    "required": ["path"],
}
TOOLS = (
    Tool("find_files", "Finds files.", _PARAMETERS),
    Tool("get_time", "Tells the time.", {"type": "object", "properties": {}}),
)
CALLS = (
    ToolCall(
        "callq0001",  # nine letters and digits: some want no other
        "find_files",
        {"path": 'say "hi" \\d ã', "depth": 3, "hidden": True, "filter": {"kind": "text", "sizes": [1, 20]}},
    ),
    ToolCall("callq0002", "get_time", {}),
)
WORDS, THOUGHT = "Wordsq1.", "Thoughtq2."
_DUMPED = ('"type"', "'type'")
"""In a turn: its content was not read but printed, as the data that it is."""
_QUESTION: Message = {"role": "user", "content": "Questionq3?"}

Variables = dict[str, Any]
_ON: Variables = {"enable_thinking": True, "thinking": True}
_OFF: Variables = {"enable_thinking": False, "thinking": False}
_DECLARED: Variables = {"tools": [tool.function for tool in TOOLS]}
_DECLARED_OTHERWISE: Variables = {**_DECLARED, "functions": json.dumps(_DECLARED["tools"]), "datetime": "today"}


class Slice(NamedTuple):
    """The text of a turn, and what stands in front of it."""

    before: str
    turn: str


@dataclass(frozen=True, slots=True)
class SampleTurns:
    """What a turn says, and the ways to cut it out of the rendering."""

    cuts: Sequence[Slice]
    calls: Sequence[ToolCall] = ()
    thought: str = ""

    def shows(self, text: str) -> bool:
        """Has the template written that into the turn?"""
        return bool(self.cuts) and all(text in cut.turn for cut in self.cuts)


class _TypedContent:
    """A template that takes content in typed parts only, as those of some models with eyes do."""

    def __init__(self, template: Template) -> None:
        self.source = template.source
        self._template = template

    def render(self, messages: Sequence[Message], *, generation_prompt: bool = True, **variables: Any) -> str:
        """As `Template`."""
        typed = [
            message | {"content": [{"type": "text", "text": message["content"]}]}
            if isinstance(message["content"], str)
            else message
            for message in messages
        ]
        return self._template.render(typed, generation_prompt=generation_prompt, **variables)


def as_understood(template: Template) -> Template:
    """The template, given its content in the form that it reads a question in."""
    rendered = "".join(_render(template, [_QUESTION], variables) for variables in ({}, _DECLARED_OTHERWISE))
    return template if _QUESTION["content"] in rendered else _TypedContent(template)


def with_calls(template: Template) -> Iterator[Sequence[SampleTurns]]:
    """The two calls in one turn or in two, in every form that the template may like, where it prints them at all."""
    seen: set[str] = set()
    asked = [_Asked.of(template, variables) for variables in (_DECLARED, _DECLARED_OTHERWISE, {})]
    for parts, question, as_string, own_ids, content in product(
        ((CALLS,), tuple((call,) for call in CALLS)),
        asked,
        (False, True),
        (False, True),
        ("", None),
    ):
        turns = [_calling(part, content, as_string=as_string, own_ids=own_ids) for part in parts]
        specimens = [SampleTurns(question.cuts(template, turn), part) for turn, part in zip(turns, parts, strict=True)]
        if all(sample.shows(sample.calls[0].name) for sample in specimens):
            fresh = {cut.turn for sample in specimens for cut in sample.cuts} - seen
            seen |= fresh
            if fresh:
                yield specimens


def with_words(template: Template) -> SampleTurns:
    """A plain answer."""
    return SampleTurns(_Asked.of(template, {}).cuts(template, {"role": "assistant", "content": WORDS}))


def with_thought(template: Template) -> list[SampleTurns]:
    """Reasoning in front of an answer or a call, by the names that templates know it by, where the template prints it."""
    fields = dict.fromkeys(("reasoning_content", "reasoning", "thinking"), THOUGHT)
    turns: list[Message] = [
        {"role": "assistant", "content": WORDS, **fields},
        _calling(CALLS[:1], "", as_string=False, own_ids=False) | fields,
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": WORDS}],
        },
    ]
    asked = [_Asked.of(template, variables) for variables in (_DECLARED | _ON, _DECLARED)]
    specimens = [SampleTurns(question.cuts(template, turn), thought=THOUGHT) for turn, question in product(turns, asked)]
    return [sample for sample in specimens if sample.shows(THOUGHT) and not any(map(sample.shows, _DUMPED))]


def tails(template: Template) -> list[str]:
    """What stands behind the question for the model to go on from: by default, with thinking on, with it off."""
    bare = _render(template, [_QUESTION], {}, generation_prompt=False)
    prompts = [_render(template, [_QUESTION], switched) for switched in ({}, _ON, _OFF)]
    return [prompt[_shared(prompt, bare) :] for prompt in prompts]


def openings(template: Template) -> str:
    """All that the template writes of its own accord around a question, with tools and without, thinking on and off."""
    return "".join(
        _render(template, [_QUESTION], declared | switched) for declared, switched in product(({}, _DECLARED), ({}, _ON, _OFF))
    )


def _calling(calls: Sequence[ToolCall], content: str | None, *, as_string: bool, own_ids: bool) -> Message:
    """`own_ids`: those that the template itself would give, which some do not read a call without."""
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [
            {
                "id": f"functions.{call.name}:{number}" if own_ids else call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.input, ensure_ascii=False) if as_string else call.input,
                },
            }
            for number, call in enumerate(calls)
        ],
    }


class _Asked(NamedTuple):
    """The question as it is asked with these variables: the prompts that the template makes of it."""

    variables: Variables
    prompts: Sequence[str]

    @classmethod
    def of(cls, template: Template, variables: Variables) -> "_Asked":
        prompts = [_render(template, [_QUESTION], variables | switched) for switched in ({}, _ON, _OFF)]
        return cls(variables, [*prompts, _render(template, [_QUESTION], variables, generation_prompt=False)])

    def cuts(self, template: Template, turn: Message) -> list[Slice]:
        """The turn behind each prompt that there is, and behind the beginning that they share; none where it is refused."""
        whole = _render(template, [_QUESTION, turn], self.variables, generation_prompt=False)
        ends = [(prompt, _shared(whole, prompt)) for prompt in self.prompts if whole and prompt]
        return list(dict.fromkeys(Slice(before, whole[end:]) for prompt, end in ends for before in (whole[:end], prompt)))


def _shared(text: str, other: str) -> int:
    """The length of the beginning that they share, less the tag that it ends in."""
    length = bisect(range(1, min(len(text), len(other)) + 1), False, key=lambda end: text[:end] != other[:end])
    shared = text[:length]
    opener = max(shared.rfind("<"), shared.rfind("["))
    return opener if opener > max(shared.rfind(">"), shared.rfind("]")) and length < len(text) else length


def _render(template: Template, messages: Sequence[Message], variables: Variables, *, generation_prompt: bool = True) -> str:
    """The text, or none where the template refuses."""
    try:
        return template.render(messages, generation_prompt=generation_prompt, **variables)
    except Exception:  # a stranger's program may fail in every way that a program can
        return ""
