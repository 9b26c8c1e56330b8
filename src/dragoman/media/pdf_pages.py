"""Reads the pages of a PDF with pdfium: the text layer, and pictures.

These functions run in a worker process: pdfium is native code that reads a file from anywhere, and what a page costs is known
only after it was read. They bound what they can count (pages, characters, pixels); time and memory are bounded by the worker.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_PAGES: Final = 600
"""Pages of a PDF, as in the API (IN-5)."""
MOST_CHARACTERS: Final = 5_000_000
"""Characters of a PDF: more than fits into the window of any model."""
_LARGEST_SCALE: Final = 4.0
"""Pixels per point (1/72 inch): small pages are not enlarged beyond 288 dpi."""
_LARGEST_PNG: Final = 1 << 20
"""Bytes of a PNG; photographs that need more become JPEGs, which are a fifth of that."""
_JPEG_QUALITY: Final = 85
_CONTROLS: Final = re.compile(r"[^\S \n\t]|[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_LINE_END_HYPHEN: Final = "\ufffe"
"""Pdfium's character for a hyphen and the line's end after it."""


class UnreadablePdf(Exception):
    """A PDF that cannot be read; the message is a sentence for the client, in the API's words where it has any."""


def texts(data: bytes) -> Sequence[str | None]:
    """The text of each page, "" where there is none, None for a page that is damaged. Raises `UnreadablePdf`."""
    found: list[str | None] = []
    characters = 0
    with _opened(data) as document:
        for number in range(1, len(document) + 1):
            with _page(document, number) as page:
                if page is None:
                    found.append(None)
                    continue
                with closing(page.get_textpage()) as layer:
                    characters += layer.count_chars()
                    if characters > MOST_CHARACTERS:
                        raise UnreadablePdf(f"The PDF specified has more than {MOST_CHARACTERS:,} characters.")
                    found.append(_plain(layer.get_text_range()))
    return found


def pictures(data: bytes, numbers: Sequence[int], longest: int) -> Sequence[bytes | None]:
    """Pictures of these pages, counted from 1, as PNG or JPEG; None for a page that is damaged. Raises `UnreadablePdf`.

    `longest` is the length of the longer side in pixels.
    """
    drawn: list[bytes | None] = []
    with _opened(data) as document:
        for number in numbers:
            with _page(document, number) as page:
                drawn.append(page and _encoded(_draw(page, longest)))
    return drawn


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    import pypdfium2  # noqa: PLC0415 -- native code, which only worker processes load

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise UnreadablePdf("The PDF specified is password protected.") from None
        raise UnreadablePdf("The PDF specified was not valid.") from None
    with document:
        if len(document) < 1:
            raise UnreadablePdf("The PDF specified has no pages.")
        if len(document) > MOST_PAGES:
            raise UnreadablePdf(f"A maximum of {MOST_PAGES} PDF pages may be provided.")
        document.init_forms()  # makes the text of form fields that have no appearance yet
        yield document


@contextmanager
def _page(document: Any, number: int) -> Iterator[Any]:
    """Load a page, with its form fields and notes as part of its content; None if it is damaged."""
    import pypdfium2  # noqa: PLC0415

    try:
        page = document.get_page(number - 1)
        if pypdfium2.raw.FPDFPage_GetAnnotCount(page) > 0:
            pypdfium2.raw.FPDFPage_Flatten(page, pypdfium2.raw.FLAT_NORMALDISPLAY)
            page.close()
            page = document.get_page(number - 1)
    except pypdfium2.PdfiumError:
        yield None
        return
    with closing(page):
        yield page


def _plain(text: str) -> str:
    """Text with the lines of the page, and no other control characters."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace(_LINE_END_HYPHEN, "-\n")).strip()


def _draw(page: Any, longest: int) -> "Picture":
    scale = min(longest / max(page.get_size()), _LARGEST_SCALE)
    picture: Picture = page.render(scale=scale, rev_byteorder=True, limit_image_cache=True).to_pil()
    return picture


def _encoded(picture: "Picture") -> bytes:
    png, jpeg = BytesIO(), BytesIO()
    picture.save(png, "PNG")
    if png.tell() <= _LARGEST_PNG:
        return png.getvalue()
    picture.save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    return jpeg.getvalue()
