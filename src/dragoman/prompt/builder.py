"""The prompt of a conversation: text, token ids, and how many tokens are left in the window."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dragoman.conversation import Conversation, Image, ImageSpan, Span, TextSpan, tokens_of
from dragoman.parts import LogProb, PromptTokens
from dragoman.prompt.profile import ModelProfile
from dragoman.prompt.render import Rendered, Renderer
from dragoman.prompt.segment_lengths import IMAGE_NOTE, SegmentLength, segment_lengths
from dragoman.prompt.spellings import candidates_in
from dragoman.prompt.tokens import Encoded, TokenCache
from dragoman.special_tokens import INVISIBLE, SpecialTokens, Tokenize

_WINDOWS = 4
"""Windows of tokens that are counted exactly; the rest of a longer prompt is estimated."""
_CHARACTERS = 64
_FEWEST_CHARACTERS = 4_000_000

_BROKEN = "changed: special tokens in text, by an invisible character, as the engine reads this prompt as text"

ImageLength = Callable[[Image], Awaitable[int]]
"""The number of tokens of an image, from the engine."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt for the engine.

    `remaining` is the number of tokens that fit after it in the window; without any, a prompt can only be counted. For one that
    is several windows long the number may be `estimated`, and `tokens` are only the first.
    `thinking_open`: the prompt ends inside reasoning, so that is where the output begins. `notes` say what was removed, moved
    or encoded. `spans` are the texts and images of a prompt with images, whose `tokens` have ids that stand for the images.
    `escaped` is the text with a `sentinel` wherever a client spelled a special token; both are empty if there is no such place.
    """

    tokens: Sequence[int]
    text: str
    remaining: int
    thinking_open: bool
    notes: Sequence[str] = ()
    estimated: int = 0
    spans: Sequence[Span] = ()
    escaped: str = ""
    sentinel: str = ""
    echo: str = ""
    logprobs: Sequence[LogProb] = ()

    @property
    def reported(self) -> PromptTokens:
        """Its tokens, for the client."""
        return PromptTokens(list(self.tokens), self.echo, self.logprobs)

    @property
    def length(self) -> int:
        """Tokens of the whole prompt."""
        return self.estimated or len(self.tokens)


class PromptBuilder:
    """Builds the prompts of one model. `window` is the number of tokens for prompt and output together.

    `image_length` is needed for prompts with images only. Every prompt of a conversation begins with `beginning`, also one
    without images, so that it is the beginning of the next one.
    """

    def __init__(
        self,
        renderer: Renderer,
        tokens: TokenCache,
        window: int,
        image_length: ImageLength | None = None,
        beginning: str = "",
    ) -> None:
        self.window = window
        self.renderer = renderer
        self._tokens = tokens
        self._image_length = image_length
        self._beginning = beginning

    @classmethod
    async def load(  # noqa: PLR0913 -- the differences between engines
        cls,
        profile: ModelProfile,
        tokenize: Tokenize,
        window: int,
        *,
        image_length: ImageLength | None = None,
        reserved: Sequence[str] = (),
        beginning: str = "",
    ) -> "PromptBuilder":
        """Probe the tokenizer with this template's prompts. `reserved` is as in `Renderer`.

        Raises `TemplateRefusal`, and what the engine raises.
        """
        sample = profile.template.render(
            [
                {"role": "user", "content": "Hello, world! 1 234\n\n  x"},
                {"role": "assistant", "content": " Hi.\n"},
                {"role": "user", "content": "Wie geht's? 🦊"},
            ]
        )
        special_tokens = SpecialTokens(tokenize, profile.template.names)
        tokens = await TokenCache.probe(tokenize, special_tokens, sample)
        return cls(Renderer(profile, reserved), tokens, window, image_length, beginning)

    async def plain(self, text: str) -> Prompt:
        """The prompt that is a text, without a template. Raises what the engine's tokenizer raises."""
        encoded = await self._tokens.encode_up_to(text, most=_WINDOWS * self.window)
        return Prompt(encoded.tokens, "", self.window - encoded.length, thinking_open=False, estimated=_estimate(encoded))

    async def build(self, conversation: Conversation) -> Prompt:
        """Raises `InvalidRequest` where the template refuses, and what the engine's tokenizer raises."""
        spelled = await self.special_tokens.of(candidates_in(conversation.dialogue, self.renderer.names))
        return await self.encoded(self.renderer.checked(conversation, spelled))

    @property
    def special_tokens(self) -> SpecialTokens:
        """The special tokens of the model."""
        return self._tokens.special_tokens

    @property
    def most_characters(self) -> int:
        """The number of characters of a text that are processed: many times the size of the window."""
        return max(_FEWEST_CHARACTERS, _CHARACTERS * self.window)

    async def encoded(self, rendered: Rendered, characters: int = 0) -> Prompt:
        """The prompt of a text. Past several windows its length is an estimate. Raises what the engine's tokenizer raises.

        `characters` is the length of the whole text if `rendered` has only the first `most_characters` of it.
        """
        if not rendered.text.startswith(self._beginning):
            rendered = replace(rendered, text=self._beginning + rendered.text)
        spans = await self._spans(rendered) if rendered.images.images else ()
        if spans:
            encoded = Encoded(tokens_of(spans), sum(span.length for span in spans))
        else:
            encoded = await self._tokens.encode_up_to(rendered.text, rendered.sentinel, _WINDOWS * self.window)
        if characters > len(rendered.text):
            encoded = replace(encoded, length=max(self.window + 1, encoded.length * characters // len(rendered.text)))
        escaped = _shown(rendered)
        text = escaped.replace(rendered.sentinel, "") if rendered.sentinel else escaped
        return Prompt(
            tokens=encoded.tokens,
            text=text,
            remaining=self.window - encoded.length,
            thinking_open=self.renderer.dialect.thinking_open(rendered.text),
            notes=[*rendered.notes, _BROKEN] if spans and rendered.sentinel in rendered.text else rendered.notes,
            estimated=_estimate(encoded),
            spans=spans,
            escaped="" if text == escaped else escaped,
            sentinel="" if text == escaped else rendered.sentinel,
        )

    async def segments(self, text: str, sentinel: str, images: Mapping[str, int], reused: int) -> list[SegmentLength]:
        """The segments of the `escaped` text of a prompt, or of its text if that is empty, as `segment_lengths`."""
        return await segment_lengths(self._tokens, text, sentinel, images, reused)

    async def _spans(self, rendered: Rendered) -> Sequence[Span]:
        """The texts and images of a prompt. The engine reads the texts: special tokens in a client's text are broken there."""
        assert self._image_length is not None
        text = rendered.text.replace(rendered.sentinel, INVISIBLE) if rendered.sentinel else rendered.text
        spans: list[Span] = []
        for piece in rendered.images.pieces(text):
            if isinstance(piece, Image):
                spans.append(ImageSpan(piece, await self._image_length(piece)))
            else:
                encoded = await self._tokens.encode_up_to(piece, most=_WINDOWS * self.window)
                spans.append(TextSpan(piece, encoded.tokens, encoded.length))
        return spans


def _shown(rendered: Rendered) -> str:
    """The text of a prompt with the digests of images in their place."""
    pieces = rendered.images.pieces(rendered.text)
    return "".join(IMAGE_NOTE.format(piece.digest) if isinstance(piece, Image) else piece for piece in pieces)


def _estimate(encoded: Encoded) -> int:
    return encoded.length if encoded.length != len(encoded.tokens) else 0
