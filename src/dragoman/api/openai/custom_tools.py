"""Custom tools, whose input is plain text: how the model gets them, and the grammars of their inputs.

Models are trained on calls with JSON arguments only, so the model gives the input as one argument (`INPUT`); `custom_input`
reads it from there.
"""

from typing import Any, Final, Literal

from dragoman.api.base import WireModel
from dragoman.api.openai.lark_grammar import UnsupportedGrammar, lark_pattern
from dragoman.api.schemas import check_valid
from dragoman.conversation.types import JsonObject, Tool
from dragoman.errors import InvalidRequest
from dragoman.json_schema.validation import validator
from dragoman.limits import Limits

INPUT: Final = "input"
"""The argument by which the model gives the input of a custom tool."""
_KINDS: Final = {"lark": "Its input matches this Lark grammar:", "regex": "Its input matches this regular expression:"}


class AnyText(WireModel):
    """An input of any text."""

    type: Literal["text"]


class GrammarText(WireModel):
    """A grammar of an input."""

    syntax: Literal["lark", "regex"]
    definition: str

    @property
    def pattern(self) -> str:
        """The pattern that the input matches from end to end. Raises `UnsupportedGrammar`."""
        return f"^(?:{lark_pattern(self.definition) if self.syntax == 'lark' else self.definition})$"

    def check(self, path: str, limits: Limits) -> None:
        """Raise `InvalidRequest` if the grammar, whose definition is at `path`, cannot be enforced."""
        try:
            schema = {"type": "string", "pattern": self.pattern}
        except UnsupportedGrammar as error:
            raise InvalidRequest.at(path, f"this grammar cannot be enforced: {error}") from None
        check_valid(schema, path, limits)
        if validator(schema) is None:
            raise InvalidRequest.at(path, "is not a regular expression")


def custom_tool(name: str, description: str, grammar: GrammarText | None) -> Tool:
    """A custom tool as the model gets it. Its grammar, if it has one, has passed `check`."""
    if grammar is not None:
        description = f"{description}\n\n{_KINDS[grammar.syntax]}\n{grammar.definition}".strip()
    return Tool(name, description, _schema(grammar), strict=grammar is not None)


def _schema(grammar: GrammarText | None) -> JsonObject:
    text: dict[str, Any] = {"type": "string", "description": "The input as plain text."}
    if grammar is not None:
        text["pattern"] = grammar.pattern
    return {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}
