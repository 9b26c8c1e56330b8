"""The interface of a tool that the server runs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from dragoman.conversation import Attachment, Dialogue, Text, Tool
from dragoman.conversation.types import JsonObject
from dragoman.json_schema.validation import validator
from dragoman.parts.server_tools import ServerCallStart, ServerToolKind, ServerToolOutput, ToolFailure, own_call_id


class ServerTool(ABC):
    """One tool, as one request declares it: an object lives as long as the answer, and may count its uses.

    `kind` decides the blocks of its calls and results. `id_prefix` begins the ids of its calls. A run takes at most `seconds`.
    """

    kind: ClassVar[ServerToolKind]
    id_prefix: ClassVar[str] = "srvtoolu_"
    seconds: float = 30.0

    def __init__(self, name: str, description: str, schema: JsonObject) -> None:
        self.name = name
        self.description = description
        self.schema = schema

    @property
    def tool(self) -> Tool:
        """The tool as the model gets it."""
        return Tool(self.name, self.description, self.schema)

    def call_start(self, call_id: str) -> ServerCallStart:
        """The start of a call for the client; `call_id` is the id that the output policies gave it."""
        return ServerCallStart(self.kind, self.name, own_call_id(self.id_prefix, call_id))

    def accepts(self, call: JsonObject) -> bool:
        """Whether an input may be run: it matches the schema, or that cannot be checked."""
        checks = validator(self.schema)
        return checks is None or checks.is_valid(msgspec.to_builtins(call))

    @abstractmethod
    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        """Run the tool with an input that it accepts. A failure that has an error code is returned as such.

        `dialogue` is what was said up to the call, which is in it. What it raises is logged, and the call fails as
        `unavailable`; it is cancelled when its time is over, or when the client disconnects. Calls of one answer run side by
        side.
        """

    def failure(self, code: str) -> ServerToolOutput:
        """The result of a call that failed outside of `run`: `invalid_tool_input`, `unavailable`."""
        return ToolFailure(self.kind, code)

    def found(self, output: ServerToolOutput) -> Sequence[Tool]:
        """The tools that can be called from this result on; none but for a tool search."""
        return ()

    def for_model(self, output: ServerToolOutput) -> Sequence[Text | Attachment]:
        """What the model reads of a result; lowering gives the same when the client sends the result back."""
        return (Text(output.text),)
