"""The prompt of a conversation: text, ids, and how much room they leave."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from dragoman.conversation import Conversation
from dragoman.dialects import Dialect
from dragoman.engines.controls import ControlTokens, Tokenize
from dragoman.errors import InvalidRequest
from dragoman.prompt.probe import probe
from dragoman.prompt.render import Renderer
from dragoman.prompt.template import ChatTemplate, TemplateRefusal
from dragoman.prompt.tokens import TokenCache
from dragoman.prompt.traits import Traits


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine reads.

    `room` is the number of tokens that fit behind it in the window; a prompt without room can be counted, and nothing else.
    `thinking_open`: the prompt ends inside reasoning, so that is where the output begins. `notes` say what was removed, moved
    or encoded.
    """

    tokens: Sequence[int]
    text: str
    room: int
    thinking_open: bool
    notes: Sequence[str] = ()


class PromptBuilder:
    """Builds the prompts of one model. `window` is the room for prompt and output together, in tokens."""

    def __init__(self, renderer: Renderer, tokens: TokenCache, window: int) -> None:
        self.window = window
        self._renderer = renderer
        self._tokens = tokens

    @property
    def traits(self) -> Traits:
        """What the template was found to render by itself."""
        return self._renderer.traits

    @classmethod
    async def load(cls, template: ChatTemplate, dialect: Dialect, tokenize: Tokenize, window: int) -> "PromptBuilder":
        """Probe the template and the tokenizer. Raises `TemplateRefusal`, and what the engine raises."""
        traits = probe(template)
        sample = template.render(
            [
                {"role": "user", "content": "Hello, world! 1 234\n\n  x"},
                {"role": "assistant", "content": " Hi.\n"},
                {"role": "user", "content": "Wie geht's? 🦊"},
            ]
        )
        controls = ControlTokens(tokenize, template.names)
        tokens = await TokenCache.probe(tokenize, controls, sample)
        return cls(Renderer(template, traits, dialect), tokens, window)

    async def build(self, conversation: Conversation) -> Prompt:
        """Raises `InvalidRequest` where the template refuses, and what the engine's tokenizer raises."""
        spelled = await self._tokens.controls.among(msgspec.json.encode(conversation).decode())
        try:
            rendered = self._renderer.render(conversation, spelled)
        except TemplateRefusal as refusal:
            raise InvalidRequest.at("messages", f"the model's chat template refuses this conversation: {refusal}") from refusal
        tokens = await self._tokens.encode(rendered.text, rendered.mark)
        return Prompt(
            tokens=tokens,
            text=rendered.text.replace(rendered.mark, "") if rendered.mark else rendered.text,
            room=self.window - len(tokens),
            thinking_open=self._renderer.dialect.thinking_open(rendered.text),
            notes=rendered.notes,
        )
