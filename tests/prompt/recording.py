"""Records an agent's conversation with its prompts and the raw output of the model.

The dialect parses the raw output, the client gets blocks and sends them back; and the prompt of the next turn must begin with
the previous prompt and the exact bytes that the model wrote, or the engine processes again what it had cached.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dragoman.conversation import Conversation, Text, Thinking, ToolCall, ToolResult, Turn
from dragoman.conversation.types import Content
from dragoman.dialects import Dialect
from dragoman.parts import CallDelta, CallEnd, CallStart
from dragoman.parts import Text as TextPart
from dragoman.parts import Thinking as ThinkingPart
from dragoman.prompt.render import Renderer

from .conversations import assistant, changed, user


@dataclass
class Recording:
    """A growing conversation, with the prompt of each turn and the output after it."""

    renderer: Renderer
    dialect: Dialect
    conversation: Conversation
    prompts: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    read: list[list[Content]] = field(default_factory=list)

    def add_turn(self, output: str | Callable[[str], str], *answer: Turn | str, failed: bool = False) -> None:
        """Add an `output` of the model, which may depend on the prompt, and these turns; strings are results of its calls."""
        prompt = self.renderer.render(self.conversation).text
        self.prompts.append(prompt)
        written = output if isinstance(output, str) else output(prompt)
        before = self.conversation
        self._answer(written, answer, failed=failed)
        spaced = respaced(written, self.renderer.render(self.conversation).text.removeprefix(prompt))
        if spaced != written and self._read(spaced) == self.read[-1]:
            self.conversation = before
            self.outputs.pop(), self.read.pop()
            self._answer(spaced, answer, failed=failed)

    def _answer(self, output: str, answer: Sequence[Turn | str], *, failed: bool) -> None:
        self.outputs.append(output)
        self.read.append(self._read(output))
        reply = assistant(*self.read[-1])
        results = [
            ToolResult.of_text(part.id, part.name, text, is_error=failed)
            for part, text in zip(
                (part for part in reply.content if isinstance(part, ToolCall)),
                (text for text in answer if isinstance(text, str)),
                strict=False,
            )
        ]
        turns = [user(*results)] if results else []
        turns += [turn for turn in answer if isinstance(turn, Turn)]
        self.conversation = changed(self.conversation, turns=[*self.conversation.dialogue.turns, reply, *turns])

    def _read(self, output: str) -> list[Content]:
        parser = self.dialect.parser(
            {tool.name: tool.schema for tool in self.conversation.dialogue.tools},
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
        """The turns whose prompt and output are not the beginning of the next prompt."""
        return [
            number
            for number, (prompt, output, after) in enumerate(zip(self.prompts, self.outputs, self.following(), strict=True))
            if not after.startswith(prompt + output)
        ]

    def rewritings(self) -> list[int]:
        """The turns after which text changed that comes before the last user or tool turn."""
        return [
            number
            for number, (prompt, after) in enumerate(zip(self.prompts, self.following(), strict=True))
            if number and not after.startswith(common_prefix(self.prompts[number - 1], prompt))
        ]


def respaced(output: str, trained: str) -> str:
    """The output with the whitespace of the template's own rendering, which models learn, if there is no other difference.

    Whitespace around the markers of a format has no meaning, and models differ in it.
    """
    found = re.match(r"\s*" + r"\s*".join(map(re.escape, "".join(output.split()))), trained)
    return found.group() if found else output


def common_prefix(first: str, second: str) -> str:
    """The common beginning of two texts."""
    end = next((place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), len(first))
    return first[:end]
