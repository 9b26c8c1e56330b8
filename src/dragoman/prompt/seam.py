"""The seam between a prompt and what the model writes behind it.

A prompt ends where the model begins: with the header of its turn, and often with more, such as the empty thought of a model
that is told not to think. In the history many templates leave that out again, or write it otherwise, and then every prompt
breaks with the one before it. So a short conversation is rendered turn by turn, with what seems to be missing put in front of
the words in each of the ways that there are, and the way by which most prompts begin the next is the one to take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from dragoman.dialects import Dialect
from dragoman.prompt.template import TemplateRefusal
from dragoman.prompt.traits import CallIds, Traits

Message = dict[str, Any]
Render = Callable[[Sequence[Message]], str]

_USER: Message = {"role": "user", "content": "Uq1"}
_ID = "idq1idq10"
_CALL = {"id": _ID, "type": "function", "function": {"name": "probe_tool", "arguments": {"pq4": "Vq5"}}}
_CALLED = {**_CALL, "function": {"name": "probe_tool", "arguments": '{"pq4": "Vq5"}'}}
_RESULT: Message = {"role": "tool", "tool_call_id": _ID, "name": "probe_tool", "content": "Oq9"}
_WORDS = "Aq2"
_THOUGHT = "Rq6"


@dataclass(frozen=True, slots=True)
class Seam:
    """What has to be put in front of a turn's words.

    `missing` is what stands in the prompt of a turn without reasoning, and not in front of its words in the history; `fields`
    make the template leave it there. `extra` is space that the history has and the prompt has not: the model writes it, and
    then the template would write it again. `thoughts`: does reasoning stay that is put there? `glue` is the space that the
    template writes between words and a call.
    """

    missing: str = ""
    extra: str = ""
    fields: Message = field(default_factory=dict)
    thoughts: bool = False
    glue: str = ""

    def without_thought(self, message: Message) -> Message:
        """What changes in an assistant message without reasoning."""
        if not self.missing:
            return {}
        return {"content": self.before_calls(message, self.missing + message["content"]), **self.fields}

    def before_calls(self, message: Message, content: str) -> str:
        """The content, less what the template itself will write between it and the calls."""
        if "tool_calls" in message and not message["content"]:
            return content.removesuffix(self.glue)
        return content


def find_seam(unthinking: Render, thinking: Render, traits: Traits, dialect: Dialect) -> Seam:
    """The best seam. The two render the whole prompt of messages, without reasoning and with it; they may refuse."""
    loop = traits.calls and traits.results
    seam = Seam(glue=_glue(unthinking) if loop else "")
    missing, extra = _difference(unthinking)
    seam = replace(seam, extra=extra)
    if missing:
        ways = [seam, *(replace(seam, missing=missing, fields=fields) for fields in ({}, {"reasoning_content": ""}))]
        seam = max(ways, key=lambda way: _appending(unthinking, _turns(traits, way.missing + _WORDS, way.fields), extra))
    thought = dialect.encode_thinking(_THOUGHT, _WORDS)
    turns = _turns(traits, thought + _WORDS, {})
    spoken = sum(turn["role"] == "assistant" for turn in turns)
    return replace(seam, thoughts=bool(thought) and _appending(thinking, turns, extra) * 2 > spoken)


def _turns(traits: Traits, content: str, fields: Message) -> list[Message]:
    """A conversation in which every assistant turn has that content."""
    turn = {"role": "assistant", "content": content, **fields}
    if not (traits.calls and traits.results):
        return [_USER, turn, _USER, turn, _USER]
    identifier = "functions.probe_tool:0" if traits.call_ids is CallIds.NUMBERED else _ID
    call = {**(_CALLED if traits.string_arguments else _CALL), "id": identifier}
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


def _glue(render: Render) -> str:
    """The space between the words of a turn and its call."""
    try:
        text = render([_USER, {"role": "assistant", "content": _WORDS, "tool_calls": [_CALL]}, _RESULT])
    except TemplateRefusal:
        return ""
    behind = text.partition(_WORDS)[2]
    return behind[: len(behind) - len(behind.lstrip())]
