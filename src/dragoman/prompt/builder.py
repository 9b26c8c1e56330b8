"""The prompt of a conversation: text, ids, and how much room they leave."""

from collections.abc import Sequence
from dataclasses import dataclass

from dragoman.conversation import Conversation
from dragoman.dialects import Dialect
from dragoman.errors import InvalidRequest, PromptTooLong
from dragoman.prompt.probe import Traits, probe
from dragoman.prompt.render import Renderer
from dragoman.prompt.template import ChatTemplate, TemplateRefusal
from dragoman.prompt.tokens import TokenCache, Tokenize


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine reads.

    `room` is the number of tokens that fit behind it, at least 1. `thinking_open`: the prompt ends inside reasoning, so that is
    where the output begins. `notes` say what was removed, moved or encoded.
    """

    tokens: Sequence[int]
    text: str
    room: int
    thinking_open: bool
    notes: Sequence[str] = ()


class PromptBuilder:
    """Builds the prompts of one model. `window` is the room for prompt and output together, in tokens."""

    def __init__(self, template: ChatTemplate, traits: Traits, dialect: Dialect, tokens: TokenCache, window: int) -> None:
        self.traits = traits
        self.window = window
        self._dialect = dialect
        self._renderer = Renderer(template, traits, dialect)
        self._tokens = tokens

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
        tokens = await TokenCache.probe(tokenize, sample, template.names)
        return cls(template, traits, dialect, tokens, window)

    async def build(self, conversation: Conversation) -> Prompt:
        """Raises `PromptTooLong`, `InvalidRequest` where the template refuses, and what the engine's tokenizer raises."""
        try:
            rendered = self._renderer.render(conversation, self._tokens.borders)
        except TemplateRefusal as refusal:
            raise InvalidRequest.at("messages", f"the model's chat template refuses this conversation: {refusal}") from refusal
        tokens = await self._tokens.encode(rendered.text, rendered.mark)
        maximum = self.window - 1  # an answer needs room for one token at least
        if len(tokens) > maximum:
            raise PromptTooLong(len(tokens), maximum)
        return Prompt(
            tokens=tokens,
            text=rendered.text.replace(rendered.mark, "") if rendered.mark else rendered.text,
            room=self.window - len(tokens),
            thinking_open=self._dialect.thinking_open(rendered.text),
            notes=rendered.notes,
        )
