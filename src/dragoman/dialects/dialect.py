"""A dialect: what one family of models writes, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from dragoman.conversation.types import JsonObject, Tool, ToolCall, ToolResult
from dragoman.dialects import writer as encoder
from dragoman.dialects.parser import Parser
from dragoman.dialects.spec import IdInName, Syntax


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Syntax):
    """The blocks, a name, and what follows from the blocks: how to read the family's output and how to write it.

    `template` names our own chat template of the format in `templates/`, for engines that have none; "": there is none.
    `hints` are spellings that, all of them, stand in the source of the family's chat templates or among its special tokens, for
    where a template prints no calls that could be read back.
    """

    name: str
    template: str = ""
    hints: tuple[str, ...] = ()

    @property
    def reference_template(self) -> str | None:
        """The Jinja source of `template`."""
        if not self.template:
            return None
        return files(__package__).joinpath("templates", self.template).read_text(encoding="utf-8")

    def parser(
        self, tools: Mapping[str, JsonObject], *, thinking_open: bool, calls_allowed: bool = True, recover: bool = True
    ) -> Parser:
        """A parser for one turn's output; its arguments are `Parser`'s."""
        return Parser(self, tools, thinking_open=thinking_open, calls_allowed=calls_allowed, recover=recover)

    def thinking_open(self, prompt_tail: str) -> bool:
        """Does the rendered prompt end inside a reasoning span?

        Only an opener at the very end counts: a user who writes `<think>` is followed by the header of the model's turn.
        """
        return self.reasoning is not None and prompt_tail.rstrip().endswith(tuple(map(str.rstrip, self.reasoning.opens)))

    @property
    def close_thinking(self) -> str:
        """What ends the reasoning by force, behind the text of an unfinished thought."""
        return self.reasoning.force_close if self.reasoning else ""

    @property
    def one_call_per_message(self) -> bool:
        """Is each call a message of its own, which its result follows?"""
        return self.frame is not None

    @property
    def numbered(self) -> bool:
        """Is a call's id its name and its number in the conversation?"""
        return self.calls is not None and isinstance(self.calls.ids, IdInName)

    def encode_thinking(self, thought: str, words: str = "") -> str:
        """A thought as the model would have written it in front of these words, or of calls; "" where it writes none."""
        return encoder.encode_thinking(self, thought, words)

    def encode_calls(self, calls: Sequence[ToolCall]) -> str:
        """The calls of one turn as the model would have written them."""
        return encoder.encode_calls(self, calls)

    def encode_turn(self, words: str, calls: Sequence[ToolCall]) -> str:
        """Words and the calls behind them."""
        return encoder.encode_turn(self, words, calls)

    def encode_results(self, results: Sequence[ToolResult]) -> str:
        """The results of a turn's calls, as the model expects to read them in a user turn."""
        return encoder.encode_results(self, results)

    def encode_tools(self, tools: Sequence[Tool]) -> str:
        """The part of the system turn that tells a model of these tools and of how to call them."""
        return encoder.encode_tools(self, tools)
