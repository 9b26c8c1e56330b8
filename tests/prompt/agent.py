"""A recorded agent: seven turns with two tool loops, in the format of any family, with any template.

It has parallel calls, text beside calls, a failed call, an empty result, system turns after results and after a user turn, and
two questions, with or without reasoning before every turn.
"""

from collections.abc import Callable
from enum import StrEnum
from itertools import count

from dragoman.conversation import ThinkingPolicy, Tool, ToolCall
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate
from dragoman.prompt.render import Renderer

from .conversations import changed, conversation_of, system, user
from .recording import Recording, common_prefix

THOUGHT = "Hm."
_PATH = {"path": {"type": "string", "description": "The file."}, "at": {"type": "integer", "description": "The line."}}
READ = Tool("read", "Reads a file.", {"type": "object", "properties": _PATH, "required": ["path"]})
NOW = Tool("now", "Tells the time.", {"type": "object", "properties": {}, "required": []})

_ANSWERS = {"gpt-oss": "<|channel|>final<|message|>", "muse-glimmer": " to=user<|message|>", "functionary": "all\n"}
_NEXT = {"gpt-oss": "<|end|><|start|>assistant", "muse-glimmer": "<|eom|><|start|>assistant", "functionary": ">>>"}
"""How families with several messages per turn begin an answer, and the next message."""


class Break(StrEnum):
    """Why a prompt does not begin with the previous one and the output after it. The values are the letters in tables."""

    KEPT = "."
    REASONING = "R"
    TOOLS = "T"
    THOUGHT = "H"
    PROMPT = "P"
    FORM = "F"


REASONS = {
    Break.REASONING: (
        "After a new user turn the template drops the reasoning of earlier turns, even if it is empty, because its models were "
        "trained so: everything after the previous user turn is read again."
    ),
    Break.TOOLS: "The template puts the tools before the last user turn, so they move with it.",
    Break.THOUGHT: "The template leaves reasoning out of the history, even as part of the text: the turn is read again.",
    Break.PROMPT: (
        "The prompt ends with text that the history does not have in that place, such as empty reasoning or the end of the "
        "results, and the template removes it when it is added: the turn is read again."
    ),
    Break.FORM: (
        "The template, or the dialect, writes something in the history differently from the model, such as the id of a call, "
        "escapes in a string, or text beside a call: the turn is read again from there."
    ),
}


class Agent:
    """Writes turns as a model of the family would. `space` is the whitespace that it writes first, as in every history."""

    def __init__(self, dialect: Dialect, *, thinks: bool, space: str) -> None:
        self._dialect = dialect
        self._thought = THOUGHT if thinks and dialect.reasoning else ""
        self._space = space
        self._numbers = count()

    def turn(self, words: str, *calls: tuple[str, dict[str, object]]) -> Callable[[str], str]:
        """The output for a prompt, without text or further calls where the format does not allow them beside a call."""
        dialect = self._dialect
        if calls and dialect.calls and dialect.calls.bare:
            words = ""
        made = [
            ToolCall(self._identifier(name), name, arguments) for name, arguments in (calls[:1] if dialect.frame else calls)
        ]
        return lambda prompt: self._messages(words, made) if dialect.frame else self._text(prompt, words, made)

    def _identifier(self, name: str) -> str:
        number = next(self._numbers)
        return f"functions.{name}:{number}" if self._dialect.numbered else f"wire{number:05}"

    def _text(self, prompt: str, words: str, calls: list[ToolCall]) -> str:
        written = self._dialect.encode_turn(words, calls)
        if not self._thought:
            return self._space + written
        thought = self._dialect.encode_thinking(self._thought, words)
        if self._dialect.thinking_open(prompt) and self._dialect.reasoning:
            thought = thought.removeprefix(self._dialect.reasoning.opens[0])
            thought = thought.removeprefix("\n") if prompt.endswith("\n") else thought
        return thought + written

    def _messages(self, words: str, calls: list[ToolCall]) -> str:
        name, written = self._dialect.name, []
        if self._thought and self._dialect.reasoning:
            written.append(self._dialect.reasoning.opens[0] + self._thought)
        if words:
            written.append(_ANSWERS[name] + words)
        if calls:
            written.append(self._dialect.encode_calls(calls))
        return _NEXT[name].join(written)


def record(source: str, dialect: Dialect, *, thinks: bool) -> Recording:
    """Record the conversation with this template. Raises `TemplateRefusal`."""
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    start = changed(
        conversation_of(user("What does a.txt say?"), top=["You help."], tools=[READ, NOW]),
        thinking=ThinkingPolicy(enabled=thinks),
    )
    renderer = Renderer(inspect(template, dialect))
    recording = Recording(renderer, dialect, start)
    agent = Agent(dialect, thinks=thinks, space=renderer.profile.boundary.extra)
    recording.add_turn(agent.turn("I look.", ("read", {"path": 'a "b" ü 🦊\n', "at": 1}), ("now", {})), "hello", "noon")
    recording.add_turn(agent.turn("", ("read", {"path": "b.txt"})), "no such file", failed=True)
    recording.add_turn(agent.turn("", ("read", {"path": "c.txt"})), "", system("Be brief."))
    recording.add_turn(agent.turn("It says hello."), user("And d.txt?", "Tell me."))
    recording.add_turn(agent.turn("I look again.", ("read", {"path": "d.txt"})), "empty")
    recording.add_turn(agent.turn("Nothing."), user("Thanks."), system("Be kind."))
    recording.add_turn(agent.turn("You are welcome."), user("Bye."))
    return recording


def breaks(recording: Recording) -> str:
    """For each turn, whether the next prompt begins with it, or why not."""
    rewritten = recording.rewritings()
    turns = zip(recording.prompts, recording.outputs, recording.following(), strict=True)
    return "".join(_break(*turn, rewritten=number in rewritten) for number, turn in enumerate(turns))


def _break(prompt: str, output: str, after: str, *, rewritten: bool) -> Break:
    kept = len(common_prefix(prompt + output, after))
    if kept == len(prompt + output):
        return Break.KEPT
    wanted, got = (prompt + output)[kept:], after[kept:]
    if rewritten:
        return Break.TOOLS if "Reads a file." in wanted else Break.REASONING
    if kept < len(prompt):
        return Break.TOOLS if "Reads a file." in wanted else Break.THOUGHT if THOUGHT in output else Break.PROMPT
    return Break.THOUGHT if THOUGHT in wanted and THOUGHT not in got[: len(wanted)] else Break.FORM
