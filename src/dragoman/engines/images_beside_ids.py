"""Images beside the token ids of a prompt: the ids of the model's notation at the place of each, and the images as URLs.

- The server puts as many tokens as the image needs in the place of one in the notation.
- It counts whole prompts only, when it reads them. So the length of an image is measured with a blank one of its size, which
  costs the server the work of reading a blank image.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from dragoman.conversation import Image, ImageSpan, Span
from dragoman.engines.image_files import blank_png, data_url
from dragoman.engines.image_lengths import ImageLengths
from dragoman.errors import EngineError, EngineFailed
from dragoman.special_tokens import Tokenize

Measure = Callable[[Sequence[int], Sequence[str]], Awaitable[int]]
"""The number of tokens of a prompt in the server's own count, from ids and the URLs of images."""

_IMAGE: Final = Image(blank_png(64, 64), "image/png", "trial")
_TEXT: Final = "1 2 3 4 5"

_log = logging.getLogger(__name__)


class ImagesBesideIds:
    """The images of one model. `notation` are the token ids of an image in its template's notation."""

    def __init__(self, notation: Sequence[int], measure: Measure) -> None:
        self._notation = notation
        self._measure = measure
        self._lengths = ImageLengths(self._measured)

    @classmethod
    async def probe(cls, name: str, notation: str, tokenize: Tokenize, measure: Measure) -> "ImagesBesideIds | None":
        """Check that the server's count of a text and images is the sum of their lengths; None if it is not.

        `notation` is what the template writes for an image, `name` the server's name for the log.
        """
        try:
            if not notation:
                raise EngineFailed("the chat template writes none")
            ids, text = [await tokenize(part, special=True) for part in (notation, _TEXT)]
            one, two = [await measure([*text, *ids * count], [data_url(_IMAGE)] * count) for count in (1, 2)]
            if two - one < 1 or one - len(text) != two - one:
                raise EngineFailed(f"it counts {one} and {two} tokens of a text of {len(text)} tokens with one and two images")
        except EngineError as error:
            _log.warning("%s: images are not used: %s", name, error)
            return None
        return cls(ids, measure)

    async def length(self, image: Image) -> int:
        """The number of tokens of an image, with those of the notation around it. Raises what measuring it raises."""
        return await self._lengths.of(image)

    def ids(self, spans: Sequence[Span]) -> list[int]:
        """The token ids of a prompt, with the notation in the places of images."""
        return [token for span in spans for token in (self._notation if isinstance(span, ImageSpan) else span.tokens)]

    async def _measured(self, image: Image) -> int:
        return await self._measure(self._notation, [data_url(image)])


def urls(spans: Sequence[Span]) -> list[str]:
    """The images as URLs, in order. May take some milliseconds for each megabyte."""
    return [data_url(span.image) for span in spans if isinstance(span, ImageSpan)]
