"""An agent's conversation as it grows, as the model wrote it.

The model's raw output is read by the dialect, goes to the client as blocks and comes back as blocks; and the prompt of the
next turn must begin with the prompt before it and, behind that, with the very bytes that the model wrote, or the engine reads
again what it knew.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dragoman.conversation import Conversation, Text, Thinking, ToolCall, ToolResult, Turn
from dragoman.conversation.types import Content
from dragoman.dialects import Dialect
from dragoman.parts import CallDelta, CallEnd, CallStart
from dragoman.parts import Text as TextPart
from dragoman.parts import Thinking as ThinkingPart
from dragoman.prompt.render import Renderer

from .talk import assistant, user


@dataclass
class Recording:
    """A conversation as it grows, with the prompt of each of its turns and the output that followed it."""

    renderer: Renderer
    dialect: Dialect
    conversation: Conversation
    prompts: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    read: list[list[Content]] = field(default_factory=list)

    def say(self, output: str | Callable[[str], str], *answer: Turn | str, failed: bool = False) -> None:
        """The model writes `output`, which may depend on the prompt; then come these turns, a string answering each call."""
        prompt = self.renderer.render(self.conversation).text
        self.prompts.append(prompt)
        self.outputs.append(output if isinstance(output, str) else output(prompt))
        reply = assistant(*self._read(self.outputs[-1]))
        self.read.append(list(reply.content))
        results = [
            ToolResult(part.id, part.name, text, is_error=failed)
            for part, text in zip(
                (part for part in reply.content if isinstance(part, ToolCall)),
                (text for text in answer if isinstance(text, str)),
                strict=False,
            )
        ]
        turns = [user(*results)] if results else []
        turns += [turn for turn in answer if isinstance(turn, Turn)]
        self.conversation = replace(self.conversation, turns=[*self.conversation.turns, reply, *turns])

    def _read(self, output: str) -> list[Content]:
        parser = self.dialect.parser(
            {tool.name: tool.schema for tool in self.conversation.tools},
            thinking_open=self.dialect.thinking_open(self.prompts[-1]),
        )
        content: list[Content] = []
        for part in [*parser.feed(output), *parser.finish(cut=False)]:
            match part:
                case ThinkingPart(text):
                    content.append(Thinking(text))
                case TextPart(text):
                    content.append(Text(text))
                case CallStart(name, wire):
                    identifier, arguments = f"toolu_{len(self.prompts)}{len(content)}{''.join(filter(str.isalnum, wire))}", ""
                case CallDelta(json=piece):
                    arguments += piece
                case CallEnd():
                    content.append(ToolCall(identifier, name, json.loads(arguments or "{}")))
        return content

    def following(self) -> list[str]:
        """The prompt after each turn."""
        return [*self.prompts[1:], self.renderer.render(self.conversation).text]

    def divergences(self) -> list[int]:
        """The turns whose prompt, with what the model wrote behind it, does not begin the prompt of the next turn."""
        return [
            number
            for number, (prompt, output, after) in enumerate(zip(self.prompts, self.outputs, self.following(), strict=True))
            if not after.startswith(prompt + output)
        ]

    def rewritings(self) -> list[int]:
        """The turns behind which something changed that stands in front of the last thing the user or a tool said."""
        return [
            number
            for number, (prompt, after) in enumerate(zip(self.prompts, self.following(), strict=True))
            if number and not after.startswith(shared(self.prompts[number - 1], prompt))
        ]


def shared(first: str, second: str) -> str:
    """How both begin."""
    end = next((place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), len(first))
    return first[:end]
