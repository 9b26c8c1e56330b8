"""Images in the prompts of SGLang: the ids of the model's own notation at the place of each image, and the images beside them.

- The server puts as many tokens as the image needs in the place of one in the notation. For most models it makes text of the
  ids first, and ids of the text again: so the text must have no spellings of special tokens that are meant as text.
- It reports the length of a prompt with the first chunk. The length of an image is measured with a blank one of its size, which
  costs the server the work of reading a blank image.

By the server's source; not tried with a real one.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from dragoman.conversation import Image, ImageSpan, Span
from dragoman.engines.image_files import blank_png, data_url
from dragoman.engines.image_lengths import ImageLengths
from dragoman.errors import EngineError, EngineFailed

Measure = Callable[[Sequence[int], Sequence[str]], Awaitable[int]]
"""The number of tokens of a prompt in the server's own count, from ids and the URLs of images."""

_TRIAL = Image(blank_png(64, 64), "image/png", "trial")

_log = logging.getLogger(__name__)


class ImageInput:
    """The images of one model. `notation` are the token ids of an image in its template's notation."""

    def __init__(self, notation: Sequence[int], measure: Measure) -> None:
        self._notation = notation
        self._measure = measure
        self._lengths = ImageLengths(self._measured)

    @classmethod
    async def probe(cls, name: str, notation: Sequence[int], text: Sequence[int], measure: Measure) -> "ImageInput | None":
        """Check that the server's count of a text and images is the sum of their lengths; None if it is not.

        `name` is the server's, for the log.
        """
        found = cls(notation, measure)
        try:
            one, two = [await measure([*text, *list(notation) * count], [data_url(_TRIAL)] * count) for count in (1, 2)]
            if two - one < 1 or one - len(text) != two - one:
                raise EngineFailed(f"it counts {one} and {two} tokens of a text of {len(text)} tokens with one and two images")
        except EngineError as error:
            _log.warning("%s: images are not used: %s", name, error)
            return None
        return found

    async def length(self, image: Image) -> int:
        """The number of tokens of an image, with those of the notation around it."""
        return await self._lengths.of(image)

    def ids(self, spans: Sequence[Span]) -> list[int]:
        """The token ids of a prompt, with the notation in the places of images."""
        return [token for span in spans for token in (self._notation if isinstance(span, ImageSpan) else span.tokens)]

    async def _measured(self, image: Image) -> int:
        return await self._measure(self._notation, [data_url(image)])


def urls(spans: Sequence[Span]) -> list[str]:
    """The images as URLs, in order. May take some milliseconds for each megabyte."""
    return [data_url(span.image) for span in spans if isinstance(span, ImageSpan)]
