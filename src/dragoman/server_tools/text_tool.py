"""A server tool whose input is one text."""

from dragoman.conversation.types import JsonObject
from dragoman.server_tools.base import ServerTool


class TextTool(ServerTool):
    """A tool with one field, `field`, of at most `longest` characters.

    The length holds for calls that are constrained: a small model that must call does not end a text by itself. A longer text
    of another call is accepted, and `run` judges it.
    """

    def __init__(self, name: str, description: str, field: str, about: str, longest: int) -> None:
        text = {"type": "string", "description": about, "maxLength": longest}
        schema = {"type": "object", "properties": {field: text}, "required": [field], "additionalProperties": False}
        super().__init__(name, description, schema)
        self._field = field

    def accepts(self, call: JsonObject) -> bool:
        """Whether the input is one text."""
        return call.keys() == {self._field} and isinstance(call[self._field], str)
