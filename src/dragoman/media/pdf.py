"""Reads PDFs in worker processes: the text of each page, and a picture where a page has none and the model sees.

The workers are other ones than those of `POOL`, so that a PDF which takes all the time it may delays PDFs alone. The text of
all pages is one job; pictures are drawn a few at a time, so that a long scan needs no longer limit. Results are kept by
digest, since clients send a PDF again with each turn.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from dragoman.media.kept import Kept
from dragoman.media.pdf_pages import UnreadablePdf, pictures, texts
from dragoman.worker_pool import TooExpensive, WorkerPool

MOST_PICTURES: Final = 100
"""Pages of a PDF that are drawn; a note stands in place of others without text."""
SECONDS: Final = 60.0
"""Time limit of a whole PDF; that of a worker is for a part of one."""
_PAGES_AT_A_TIME: Final = 4
"""Pages that one job draws, some tenths of a second each."""
_KEPT_BYTES: Final = 64 << 20
"""Bytes of text, and as many of pictures."""
_PRELOAD: Final = ("dragoman.media.pdf_pages", "pypdfium2", "PIL.Image")


@dataclass(frozen=True, slots=True)
class Page:
    """A page. `text` is None if it is damaged, "" if it has none; `picture` is a PNG or a JPEG, None if it was not drawn."""

    text: str | None
    picture: bytes | None = None


class PdfReader:
    """Reads PDFs, and keeps what it read."""

    def __init__(self, pool: WorkerPool | None = None, seconds: float = SECONDS, kept_bytes: int = _KEPT_BYTES) -> None:
        self._pool = pool or WorkerPool(preload=_PRELOAD)
        self._seconds = seconds
        self._texts: Kept[bytes, Sequence[str | None]] = Kept(kept_bytes)
        self._pictures: Kept[tuple[bytes, int, int], bytes | None] = Kept(kept_bytes)

    async def read(self, data: bytes, longest: int | None = None) -> Sequence[Page]:
        """Return the pages. With `longest`, a length in pixels, those without text have a picture that is at most so long.

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
        return [Page(text, drawn.get(number)) for number, text in enumerate(read, 1)]

    async def close(self) -> None:
        """End the workers of this event loop."""
        await self._pool.close()

    async def _read(self, data: bytes, digest: bytes) -> Sequence[str | None]:
        read = self._texts.get(digest)
        if read is None:
            read = await self._pool.run(texts, data)
            self._texts.put(digest, read, sum(map(sys.getsizeof, read)))
        return read

    async def _drawn(self, data: bytes, digest: bytes, read: Sequence[str | None], longest: int) -> dict[int, bytes | None]:
        """The pictures of the first pages without text, by page number."""
        wanted = [number for number, text in enumerate(read, 1) if text == ""][:MOST_PICTURES]
        drawn = {number: self._pictures.get((digest, number, longest)) for number in wanted}
        for numbers in _groups([number for number in wanted if drawn[number] is None]):
            for number, picture in zip(numbers, await self._pool.run(pictures, data, numbers, longest), strict=True):
                drawn[number] = picture
                if picture is not None:
                    self._pictures.put((digest, number, longest), picture, len(picture))
        return drawn


def _groups(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _PAGES_AT_A_TIME):
        yield numbers[start : start + _PAGES_AT_A_TIME]
