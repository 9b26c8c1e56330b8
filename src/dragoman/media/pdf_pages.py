"""Reads the pages of a PDF with pdfium: the text layer, and pictures.

These functions run in a worker process: pdfium is native code that reads a file from anywhere, and what a page costs is known
only after it was read. They bound what they can count (pages, characters, pixels); time and memory are bounded by the worker.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

T = TypeVar("T")

MOST_CHARACTERS: Final = 5_000_000
"""Characters of a PDF: more than fits into the window of any model."""
_LITTLE_TEXT: Final = 200
"""Characters of a page below which it may be a picture."""
_MOST_OF_A_PAGE: Final = 0.5
_MOST_OBJECTS: Final = 100
"""Images of a page that are looked at."""
_LARGEST_SCALE: Final = 4.0
"""Pixels per point (1/72 inch): small pages are not enlarged beyond 288 dpi."""
_LARGEST_PNG: Final = 1 << 20
"""Bytes of a PNG; photographs that need more become JPEGs, which are a fifth of that."""
_JPEG_QUALITY: Final = 85
_CONTROLS: Final = re.compile(r"[^\S \n\t]|[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_LINE_END_HYPHEN: Final = "\ufffe"
"""Pdfium's character for a hyphen and the line's end after it."""


@dataclass(frozen=True, slots=True)
class PageText:
    """The text layer of a page, "" if there is none. `pictured`: the page is a picture, with little text or none beside it."""

    text: str
    pictured: bool


class UnreadablePdf(Exception):
    """A PDF that cannot be read; the message is a sentence for the client, in the API's words where it has any."""


def texts(data: bytes, most_pages: int) -> Sequence[PageText | None]:
    """The text of each page, None for a page that is damaged. Raises `UnreadablePdf`, also if there are more pages."""
    characters = 0

    def read(page: Any) -> PageText:
        nonlocal characters
        with closing(page.get_textpage()) as layer:
            characters += layer.count_chars()
            if characters > MOST_CHARACTERS:
                raise UnreadablePdf(f"The PDF specified has more than {MOST_CHARACTERS:,} characters.")
            text = _plain(layer.get_text_range())
        return PageText(text, _is_pictured(page, text))

    with _opened(data) as document:
        if len(document) > most_pages:
            raise UnreadablePdf(too_many_pages(most_pages))
        return [_from_page(document, number, read) for number in range(1, len(document) + 1)]


def too_many_pages(most: int) -> str:
    """The sentence for a client whose PDFs have more pages than that (IN-5), in the API's words; it names the limit."""
    return f"A maximum of {most} PDF pages may be provided. (pdf_pages)"


def pictures(data: bytes, numbers: Sequence[int], longest: int) -> Sequence[bytes | None]:
    """Pictures of these pages, counted from 1, as PNG or JPEG; None for a page that is damaged. Raises `UnreadablePdf`.

    `longest` is the length of the longer side in pixels.
    """
    with _opened(data) as document:
        return [_from_page(document, number, lambda page: _encoded(_draw(page, longest))) for number in numbers]


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    import pypdfium2  # noqa: PLC0415 -- native code, which only worker processes load

    try:
        document = pypdfium2.PdfDocument(data)
        document.init_forms()  # makes the text of form fields that have no appearance yet
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise UnreadablePdf("The PDF specified is password protected.") from None
        raise UnreadablePdf("The PDF specified was not valid.") from None
    with document:
        if len(document) < 1:
            raise UnreadablePdf("The PDF specified has no pages.")
        yield document


def _from_page(document: Any, number: int, read: Callable[[Any], T]) -> T | None:
    """What `read` makes of a page; None if it is damaged, on which pdfium and its binding raise errors of many kinds."""
    try:
        with closing(_page(document, number)) as page:
            return read(page)
    except (UnreadablePdf, MemoryError):
        raise
    except Exception:
        return None


def _page(document: Any, number: int) -> Any:
    """Load a page, with its form fields and notes as part of its content."""
    import pypdfium2  # noqa: PLC0415

    page = document.get_page(number - 1)
    if pypdfium2.raw.FPDFPage_GetAnnotCount(page) == 0:
        return page
    pypdfium2.raw.FPDFPage_Flatten(page, pypdfium2.raw.FLAT_NORMALDISPLAY)
    page.close()
    return document.get_page(number - 1)


def _plain(text: str) -> str:
    """Text with the lines of the page, and no other control characters."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace(_LINE_END_HYPHEN, "-\n")).strip()


def _is_pictured(page: Any, text: str) -> bool:
    """Whether the model must see the page: it has no text, or only a line beside a picture, as scanners add it."""
    import pypdfium2  # noqa: PLC0415

    if len(text) >= _LITTLE_TEXT:
        return False
    images = page.get_objects([pypdfium2.raw.FPDF_PAGEOBJ_IMAGE], max_depth=1)
    return not text or any(_covers(image.get_bounds(), page.get_size()) for image in islice(images, _MOST_OBJECTS))


def _covers(bounds: tuple[float, float, float, float], page: tuple[float, float]) -> bool:
    left, bottom, right, top = bounds
    return (right - left) * (top - bottom) > _MOST_OF_A_PAGE * page[0] * page[1]


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
