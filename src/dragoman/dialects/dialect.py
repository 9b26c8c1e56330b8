"""A dialect: the notation of one family of models, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from dragoman.conversation.types import JsonObject
from dragoman.dialects.parser import Parser
from dragoman.dialects.spec import IdInName
from dragoman.dialects.special_markers import SpecialMarkers
from dragoman.dialects.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Writer):
    """A combination of blocks with a name: it reads the family's output, and writes as the family does."""

    name: str
    template: str = ""
    """The file in `templates/` with our own chat template of the format, for models without one; "": there is none."""
    hints: tuple[str, ...] = ()
    """Strings that all occur in the family's chat templates or among its special tokens: detection looks for them where a
    template renders no calls that could be read back."""

    @property
    def reference_template(self) -> str | None:
        """The Jinja source of `template`, or None."""
        if not self.template:
            return None
        return files(__package__).joinpath("templates", self.template).read_text(encoding="utf-8")

    def parser(
        self,
        tools: Mapping[str, JsonObject],
        *,
        thinking_open: bool,
        calls_allowed: bool = True,
        recover: bool = True,
        markers: SpecialMarkers | None = None,
    ) -> Parser:
        """A parser for one generation; the arguments are those of `Parser`."""
        return Parser(self, tools, thinking_open=thinking_open, calls_allowed=calls_allowed, recover=recover, markers=markers)

    def thinking_open(self, prompt_tail: str) -> bool:
        """Whether the rendered prompt ends inside a reasoning span.

        Only an opener at the very end counts: after a user's message with `<think>` comes the header of the model's message.
        """
        return self.reasoning is not None and prompt_tail.rstrip().endswith(tuple(map(str.rstrip, self.reasoning.opens)))

    @property
    def close_thinking(self) -> str:
        """The text that ends unfinished reasoning, or "" without reasoning."""
        return self.reasoning.force_close if self.reasoning else ""

    @property
    def one_call_per_message(self) -> bool:
        """Whether each call is a message of its own, which its result follows."""
        return self.frame is not None

    @property
    def numbered(self) -> bool:
        """Whether a call's id is its name and its number in the conversation."""
        return self.calls is not None and isinstance(self.calls.ids, IdInName)
