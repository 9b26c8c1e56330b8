"""The prompt of a conversation: text, token ids, and how many tokens are left in the window."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from dragoman.conversation import Conversation
from dragoman.prompt.profile import ModelProfile
from dragoman.prompt.render import Rendered, Renderer
from dragoman.prompt.tokens import Encoded, TokenCache
from dragoman.special_tokens import SpecialTokens, Tokenize

_WINDOWS = 4
"""Windows of tokens that are counted exactly; the rest of a longer prompt is estimated."""
_CHARACTERS = 64
_FEWEST_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt for the engine.

    `remaining` is the number of tokens that fit after it in the window; without any, a prompt can only be counted. For one that
    is several windows long the number may be `estimated`, and `tokens` are only the first.
    `thinking_open`: the prompt ends inside reasoning, so that is where the output begins. `notes` say what was removed, moved
    or encoded.
    """

    tokens: Sequence[int]
    text: str
    remaining: int
    thinking_open: bool
    notes: Sequence[str] = ()
    estimated: int = 0

    @property
    def length(self) -> int:
        """Tokens of the whole prompt."""
        return self.estimated or len(self.tokens)


class PromptBuilder:
    """Builds the prompts of one model. `window` is the number of tokens for prompt and output together."""

    def __init__(self, renderer: Renderer, tokens: TokenCache, window: int) -> None:
        self.window = window
        self.renderer = renderer
        self._tokens = tokens

    @classmethod
    async def load(cls, profile: ModelProfile, tokenize: Tokenize, window: int) -> "PromptBuilder":
        """Probe the tokenizer with this template's prompts. Raises `TemplateRefusal`, and what the engine raises."""
        sample = profile.template.render(
            [
                {"role": "user", "content": "Hello, world! 1 234\n\n  x"},
                {"role": "assistant", "content": " Hi.\n"},
                {"role": "user", "content": "Wie geht's? 🦊"},
            ]
        )
        special_tokens = SpecialTokens(tokenize, profile.template.names)
        tokens = await TokenCache.probe(tokenize, special_tokens, sample)
        return cls(Renderer(profile), tokens, window)

    async def plain(self, text: str) -> Prompt:
        """The prompt that is a text, without a template. Raises what the engine's tokenizer raises."""
        encoded = await self._tokens.encode_up_to(text, most=_WINDOWS * self.window)
        return Prompt(encoded.tokens, "", self.window - encoded.length, thinking_open=False, estimated=_estimate(encoded))

    async def build(self, conversation: Conversation) -> Prompt:
        """Raises `InvalidRequest` where the template refuses, and what the engine's tokenizer raises."""
        spelled = await self.special_tokens_in(msgspec.json.encode(conversation.dialogue).decode())
        return await self.encoded(self.renderer.checked(conversation, spelled))

    async def special_tokens_in(self, text: str) -> list[str]:
        """The special tokens that a text spells; for an empty text, all known so far."""
        return await self._tokens.special_tokens.among(text) if text else self._tokens.special_tokens.known

    @property
    def most_characters(self) -> int:
        """The number of characters of a text that are processed: many times the size of the window."""
        return max(_FEWEST_CHARACTERS, _CHARACTERS * self.window)

    async def encoded(self, rendered: Rendered, characters: int = 0) -> Prompt:
        """The prompt of a text. Past several windows its length is an estimate. Raises what the engine's tokenizer raises.

        `characters` is the length of the whole text if `rendered` has only the first `most_characters` of it.
        """
        encoded = await self._tokens.encode_up_to(rendered.text, rendered.sentinel, _WINDOWS * self.window)
        if characters > len(rendered.text):
            encoded = replace(encoded, length=max(self.window + 1, encoded.length * characters // len(rendered.text)))
        return Prompt(
            tokens=encoded.tokens,
            text=rendered.text.replace(rendered.sentinel, "") if rendered.sentinel else rendered.text,
            remaining=self.window - encoded.length,
            thinking_open=self.renderer.dialect.thinking_open(rendered.text),
            notes=rendered.notes,
            estimated=_estimate(encoded),
        )


def _estimate(encoded: Encoded) -> int:
    return encoded.length if encoded.length != len(encoded.tokens) else 0
