"""Reads PDFs in worker processes: the text of each page, and a picture where a page has none and the model sees.

The workers are other ones than those of `POOL`, so that a PDF which takes all the time it may delays PDFs alone. The text of
all pages is one job; pictures are drawn a few at a time, so that a long scan needs no longer limit. Results are kept by
digest, since clients send a PDF again with each turn.

What the model gets has a fixed form, with the number of each page, so that a PDF reads the same in every later turn:

    <page number="1">
    It rained.
    </page>
    <page number="2">
    [page omitted: it has no text, and this model cannot see images]
    </page>
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from dragoman.conversation import Image, Text
from dragoman.conversation.types import join_texts
from dragoman.media.kept import Kept
from dragoman.media.pdf_pages import UnreadablePdf, pictures, texts
from dragoman.worker_pool import TooExpensive, WorkerPool

MOST_IMAGES: Final = 100
"""Pages of a PDF that become images; a note takes the place of others without text."""
SECONDS: Final = 60.0
"""Time limit of a whole PDF; that of a worker is for a part of one."""
_PAGES_AT_A_TIME: Final = 4
"""Pages that one job draws, some tenths of a second each."""
_KEPT_BYTES: Final = 64 << 20
"""Bytes of text, and as many of pictures."""
_PNG: Final = b"\x89PNG"
_PRELOAD: Final = ("dragoman.media.pdf_pages", "pypdfium2", "PIL.Image")


@dataclass(frozen=True, slots=True)
class Pdf:
    """What the model gets of a PDF; of `omitted` pages that is a note."""

    parts: Sequence[Text | Image]
    omitted: int


class PdfReader:
    """Reads PDFs, and keeps what it read."""

    def __init__(self, pool: WorkerPool | None = None, seconds: float = SECONDS, kept_bytes: int = _KEPT_BYTES) -> None:
        self._pool = pool or WorkerPool(preload=_PRELOAD)
        self._seconds = seconds
        self._texts: Kept[bytes, Sequence[str | None]] = Kept(kept_bytes)
        self._images: Kept[tuple[bytes, int, int], Image] = Kept(kept_bytes)

    async def read(self, data: bytes, longest: int | None = None) -> Pdf:
        """Return what the model gets of a PDF. With `longest`, pages without text are images, at most so many pixels long.

        Raises `UnreadablePdf`, and `Overloaded` if no worker becomes free in time.
        """
        digest = (await asyncio.to_thread(sha256, data)).digest()
        try:
            async with asyncio.timeout(self._seconds):
                read = await self._read(data, digest)
                drawn = await self._drawn(data, digest, read, longest) if longest else {}
        except TimeoutError:
            raise UnreadablePdf(f"Reading the PDF specified takes more than {self._seconds:g} seconds.") from None
        except TooExpensive as error:
            raise UnreadablePdf(f"Reading the PDF specified {error}.") from None
        return _pdf(read, drawn, sees=longest is not None)

    async def close(self) -> None:
        """End the workers of this event loop."""
        await self._pool.close()

    async def _read(self, data: bytes, digest: bytes) -> Sequence[str | None]:
        read = self._texts.get(digest)
        if read is None:
            read = await self._pool.run(texts, data)
            self._texts.put(digest, read, sum(map(sys.getsizeof, read)))
        return read

    async def _drawn(self, data: bytes, digest: bytes, read: Sequence[str | None], longest: int) -> Mapping[int, Image]:
        """Images of the first pages without text, by page number; there are none of pages that cannot be drawn."""
        wanted = [number for number, text in enumerate(read, 1) if text == ""][:MOST_IMAGES]
        drawn = {number: image for number in wanted if (image := self._images.get((digest, number, longest)))}
        for numbers in _groups([number for number in wanted if number not in drawn]):
            for number, picture in zip(numbers, await self._pool.run(pictures, data, numbers, longest), strict=True):
                if picture is not None:
                    drawn[number] = image = _image(picture)
                    self._images.put((digest, number, longest), image, len(picture))
        return drawn


def _groups(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _PAGES_AT_A_TIME):
        yield numbers[start : start + _PAGES_AT_A_TIME]


def _image(picture: bytes) -> Image:
    return Image(picture, "image/png" if picture.startswith(_PNG) else "image/jpeg", sha256(picture).hexdigest())


def _pdf(read: Sequence[str | None], drawn: Mapping[int, Image], *, sees: bool) -> Pdf:
    parts: list[Text | Image] = []
    omitted = 0
    for number, text in enumerate(read, 1):
        content = Text(text) if text else drawn.get(number)
        omitted += content is None
        parts += Text(f'<page number="{number}">'), content or _note(text, sees=sees), Text("</page>")
    return Pdf(join_texts(parts), omitted)


def _note(text: str | None, *, sees: bool) -> Text:
    if text is None:
        return Text("[page omitted: it is damaged]")
    reason = f"only {MOST_IMAGES} such pages are shown" if sees else "this model cannot see images"
    return Text(f"[page omitted: it has no text, and {reason}]")
