"""One round of a loop with server tools: the parts of one generation, as the client sees them and as the next turn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dragoman.conversation import Text, Thinking, ToolCall
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.signature import recover
from dragoman.conversation.types import Content
from dragoman.parts import CallDelta, CallEnd, CallStart, Cited, Ending, Part, ThinkingEnd
from dragoman.parts import Text as TextPart
from dragoman.parts import Thinking as ThinkingPart
from dragoman.server_tools import ServerTool


@dataclass(frozen=True, slots=True)
class ServerCall:
    """A call of a server tool. `whole` is false if it was cut; it is not run then."""

    tool: ServerTool
    call: ToolCall
    whole: bool


class Round:
    """Collects the parts of one generation.

    `content` is the turn of the assistant as lowering makes it of the blocks that the client sends back. `server_calls` are the
    calls of server tools, `client_calls` the number of others. `ending` is set by the last part.
    """

    def __init__(self, tools: Mapping[str, ServerTool]) -> None:
        self._tools = tools
        self.content: list[Content] = []
        self.server_calls: list[ServerCall] = []
        self.client_calls = 0
        self.ending: Ending | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._arguments: list[str] = []
        self._called: CallStart | None = None
        self._call_id = ""

    def add(self, part: Part) -> Iterator[Part]:
        """Add the next part, and yield what the client gets for it; the ending is kept back."""
        match part:
            case TextPart(text):
                self._texts.append(text)
            case Cited(text, _, marks):
                self._texts.append(text + marks)
            case ThinkingPart(text):
                self._close_text()
                self._thoughts.append(text)
            case ThinkingEnd(signature):
                self._close_text()
                self._end_thinking(signature)
            case CallStart(name, identifier):
                self._close_text()
                self._called, self._call_id = part, identifier
                if name in self._tools:
                    start = self._tools[name].call_start(identifier)
                    self._call_id = start.id
                    yield start
                    return
            case CallDelta(json):
                self._arguments.append(json)
            case CallEnd(complete):
                self._end_call(complete=complete)
            case Ending():
                self._close_text()
                self.ending = part
                return
            case _:
                pass
        yield part

    def _close_text(self) -> None:
        if text := "".join(self._texts):
            self.content.append(Text(text))
        self._texts.clear()

    def _end_thinking(self, signature: str) -> None:
        """Add the reasoning; if it was not shown, the signature contains it (THK-9)."""
        if text := "".join(self._thoughts) or recover(signature):
            self.content.append(Thinking(text))
        self._thoughts.clear()

    def _end_call(self, *, complete: bool) -> None:
        assert self._called is not None
        call = ToolCall(self._call_id, self._called.name, called_with("".join(self._arguments)))
        self._arguments.clear()
        self.content.append(call)
        if call.name in self._tools:
            self.server_calls.append(ServerCall(self._tools[call.name], call, complete))
        else:
            self.client_calls += 1
