"""Reads PDFs in worker processes: the text of each page, and an image where a page is a picture and the model sees.

The workers are other ones than those of `POOL`, so that a PDF which takes all the time it may delays PDFs alone. The text of
all pages is one job; pictures are drawn a few at a time, so that a long scan needs no longer limit.

What the model gets has a fixed form, with the number of each page, so that a PDF reads the same in every later turn:

    <page number="1">
    It rained.
    </page>
    <page number="2">
    [picture of this page omitted: this model cannot see images]
    </page>
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from dragoman.conversation import Image, Text
from dragoman.media import notes
from dragoman.media.pdf_pages import PageText, pictures, texts
from dragoman.worker_pool import TooExpensive, WorkerPool

PAGE_SIDE: Final = 1568
"""Pixels of the longer side of a page: 134 dpi of a letter."""
MOST_IMAGES: Final = 100
"""Pages of a PDF that become images; a note takes the place of other pictures."""
SECONDS: Final = 60.0
"""Time limit of a whole PDF; that of a worker is for a part of one."""
_PAGES_AT_A_TIME: Final = 4
"""Pages that one job draws, some tenths of a second each."""
_PNG: Final = b"\x89PNG"
_PRELOAD: Final = ("dragoman.media.pdf_pages", "pypdfium2", "PIL.Image")


@dataclass(frozen=True, slots=True)
class Pdf:
    """What the model gets of a PDF, and the number of its pages; of `omitted` ones the model gets a note.

    Each page begins with a text of its own, so that citations find it.
    """

    parts: Sequence[Text | Image]
    pages: int
    omitted: int


class PdfReader:
    """Reads PDFs of at most `most_pages`. `side` is how many pixels the longer side of a page has."""

    def __init__(
        self, most_pages: int, pool: WorkerPool | None = None, seconds: float = SECONDS, side: int = PAGE_SIDE
    ) -> None:
        self._most_pages = most_pages
        self._pool = pool or WorkerPool(preload=_PRELOAD)
        self._seconds = seconds
        self._side = side

    async def read(self, data: bytes, *, sees: bool) -> Pdf:
        """Return what the model gets of a PDF. For a model that sees, pages that are pictures become images.

        Raises `UnreadablePdf`, `TooExpensive`, and `Overloaded` if no worker becomes free in time.
        """
        try:
            async with asyncio.timeout(self._seconds):
                read = await self._pool.run(texts, data, self._most_pages)
                drawn = await self._drawn(data, read) if sees else {}
        except TimeoutError:
            raise TooExpensive(f"takes more than {self._seconds:g} seconds") from None
        return _pdf(read, drawn, sees=sees)

    async def close(self) -> None:
        """End the workers of this event loop."""
        await self._pool.close()

    async def _drawn(self, data: bytes, read: Sequence[PageText | None]) -> Mapping[int, Image]:
        """Images of the first pages that are pictures, by page number; there are none of pages that cannot be drawn."""
        wanted = [number for number, page in enumerate(read, 1) if page and page.pictured][:MOST_IMAGES]
        drawn: dict[int, Image] = {}
        for numbers in _groups(wanted):
            made = await self._pool.run(pictures, data, numbers, self._side)
            drawn |= {number: _image(picture) for number, picture in zip(numbers, made, strict=True) if picture is not None}
        return drawn


def _groups(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _PAGES_AT_A_TIME):
        yield numbers[start : start + _PAGES_AT_A_TIME]


def _image(picture: bytes) -> Image:
    return Image(picture, "image/png" if picture.startswith(_PNG) else "image/jpeg", sha256(picture).hexdigest())


def _pdf(read: Sequence[PageText | None], drawn: Mapping[int, Image], *, sees: bool) -> Pdf:
    parts: list[Text | Image] = []
    omitted = 0
    for number, page in enumerate(read, 1):
        parts.append(Text(notes.page(number, page.text if page else "")))
        if page is None or page.pictured:
            parts.append(drawn.get(number) or _note(page, sees=sees))
            omitted += number not in drawn
        parts.append(Text("</page>"))
    return Pdf(parts, len(read), omitted)


def _note(page: PageText | None, *, sees: bool) -> Text:
    if page is None:
        return Text("[page omitted: it is damaged]")
    reason = f"only {MOST_IMAGES} pages are shown" if sees else "this model cannot see images"
    return Text(f"[picture of this page omitted: {reason}]")
