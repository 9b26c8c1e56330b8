"""A server tool whose input is one text."""

from dragoman.conversation.types import JsonObject
from dragoman.server_tools.base import ServerTool


class TextTool(ServerTool):
    """A tool with one field, `field`, of 1 to `longest` characters.

    The length holds for calls that are constrained: a small model that must call may write nothing, or not end a text by
    itself. A text of another length in another call is accepted, and `run` judges it.
    """

    def __init__(self, name: str, description: str, field: str, about: str, longest: int) -> None:
        text = {"type": "string", "description": about, "minLength": 1, "maxLength": longest}
        schema = {"type": "object", "properties": {field: text}, "required": [field], "additionalProperties": False}
        super().__init__(name, description, schema)
        self._field = field

    def accepts(self, call: JsonObject) -> bool:
        """Whether the input is one text."""
        return call.keys() == {self._field} and isinstance(call[self._field], str)
