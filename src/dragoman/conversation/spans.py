"""Prompts with images as spans: the texts, and the images between them.

Engines take the texts or their token ids. For everything that counts and compares prompts, such a prompt also has token ids for
its images: one number for each image, above those of any vocabulary, as often as the image has tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from dragoman.conversation.types import Image

_FIRST_IMAGE_ID = 1 << 31


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A text and its token ids. Of a text that is longer than any window, they may be only the first of `length` tokens."""

    text: str
    tokens: Sequence[int]
    length: int


@dataclass(frozen=True, slots=True)
class ImageSpan:
    """An image. `length` is how many tokens it has in the prompt of this engine and model."""

    image: Image
    length: int

    @property
    def tokens(self) -> Sequence[int]:
        """A number that stands for the image, once for each of its tokens; equal images have the same."""
        return [_FIRST_IMAGE_ID | crc32(self.image.digest.encode()) >> 1] * self.length


Span = TextSpan | ImageSpan


def tokens_of(spans: Sequence[Span]) -> list[int]:
    """The token ids of a prompt, with those that stand for images."""
    return [token for span in spans for token in span.tokens]


def is_text_token(token: int) -> bool:
    """Whether the id is that of a token, and does not stand for an image."""
    return token < _FIRST_IMAGE_ID
