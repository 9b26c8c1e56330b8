"""Keeps the lengths of images in tokens by their size."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from dragoman.conversation import Image
from dragoman.engines.image_files import blank_png, dimensions

_KEPT: Final = 4_096


class ImageLengths:
    """The lengths of images, of which each size is measured once, with a blank image."""

    def __init__(self, measure: Callable[[Image], Awaitable[int]]) -> None:
        self._measure = measure
        self._known: OrderedDict[tuple[int, int] | str, int] = OrderedDict()

    async def of(self, image: Image) -> int:
        """The number of tokens of an image. Raises what measuring it raises."""
        size = dimensions(image.data)
        key = size or image.digest
        if key not in self._known:
            measured = image if size is None else Image(blank_png(*size), "image/png", "blank")
            self._known[key] = await self._measure(measured)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
