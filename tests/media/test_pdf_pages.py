"""The text and the pictures of the pages of a PDF."""

import random
from contextlib import suppress
from io import BytesIO

import pypdfium2
import pytest
from PIL import Image

from dragoman.limits import DEFAULT
from dragoman.media import pdf_pages
from dragoman.media.pdf_pages import UnreadablePdf, pictures, texts

from . import pdf_files as files

LONGEST = 400
MOST_PAGES = DEFAULT.pdf_pages
SHALOM = "\u05e9\u05dc\u05d5\u05dd"


def _picture(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(BytesIO(data))


def words(data: bytes) -> list[str | None]:
    """The text of each page."""
    return [None if page is None else page.text for page in texts(data, MOST_PAGES)]


def test_each_page_has_its_text() -> None:
    assert words(files.text_pdf(b"Hello\nWorld", b"", b"It rained.")) == ["Hello\nWorld", "", "It rained."]


def test_a_word_that_is_hyphenated_at_the_end_of_a_line_keeps_its_lines() -> None:
    assert words(files.text_pdf(b"A well-\nknown matter")) == ["A well-\nknown matter"]


def test_control_characters_are_removed() -> None:
    data = files.pdf([files.lines(b"ABCDE")], files.to_unicode(A="a", B="\x01", C="\x1b", D="\x0c", E="z"), font=_font(4))
    assert words(data) == ["az"]


def test_characters_of_every_plane_are_read() -> None:
    data = files.pdf([files.lines(b"ABC")], files.to_unicode(A="é", B="漢", C="😀"), font=_font(4))
    assert words(data) == ["é漢😀"]


def test_text_from_right_to_left_is_read_in_its_order() -> None:
    data = files.pdf([files.lines(b"DCBA")], files.to_unicode(**dict(zip("ABCD", SHALOM, strict=True))), font=_font(4))
    assert words(data) == [SHALOM]


def test_a_font_that_is_neither_in_the_file_nor_on_this_machine_does_not_matter() -> None:
    assert words(files.pdf([files.lines(b"Hello")], font=b"<</Type/Font/Subtype/TrueType/BaseFont/Nonesuch>>")) == ["Hello"]


def test_a_page_without_its_font_is_read_as_far_as_it_can_be() -> None:
    assert words(files.pdf([files.lines(b"Hello"), files.lines(b"World")], font=b"null")) == ["Hello", "World"]


@pytest.mark.parametrize("appearance", [b"", b"/AP<</N 5 0 R>>"])
def test_the_values_of_form_fields_are_text(appearance: bytes) -> None:
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada)/Rect[120 690 300 715]/DA(/F 12 Tf 0 g)/F 4%b>>" % appearance
    shown = files.stream(
        b"/Tx BMC BT /F 12 Tf 2 8 Td (Ada) Tj ET EMC",
        b"/Type/XObject/Subtype/Form/BBox[0 0 180 25]/Resources<</Font<</F 3 0 R>>>>",
    )
    data = files.pdf(
        [files.lines(b"Name:")],
        field,
        shown,
        page=b"/Annots[4 0 R]",
        catalog=b"/AcroForm<</Fields[4 0 R]/DR<</Font<</F 3 0 R>>>>/DA(/F 12 Tf 0 g)>>",
    )
    assert words(data) == ["Name:\nAda"]


def test_text_that_was_put_on_a_page_later_is_read_and_links_are_not() -> None:
    note = b"<</Type/Annot/Subtype/FreeText/Contents(Checked.)/Rect[120 600 300 625]/DA(/F 12 Tf 0 g)/F 4/AP<</N 5 0 R>>>>"
    shown = files.stream(
        b"BT /F 12 Tf 2 8 Td (Checked.) Tj ET",
        b"/Type/XObject/Subtype/Form/BBox[0 0 180 25]/Resources<</Font<</F 3 0 R>>>>",
    )
    link = b"<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(http://localhost/)>>>>"
    data = files.pdf([files.lines(b"A report")], note, shown, link, page=b"/Annots[4 0 R 6 0 R]")
    assert words(data) == ["A report\nChecked."]


def test_a_file_that_any_reader_opens_is_read_though_it_is_encrypted() -> None:
    assert words(files.encrypted(b"Hello", b"")) == ["Hello"]


def stamped(text: bytes, width: int) -> bytes:
    """A page of 612 by 792 points with a picture of that width, and a text."""
    content = files.stream(b"q %d 0 0 792 0 0 cm /I Do Q BT /F 9 Tf 72 20 Td (%b) Tj ET" % (width, text))
    return files.pdf([content], files.image(1, 1, b"red"), resources=b"/XObject<</I 4 0 R>>")


@pytest.mark.parametrize(
    ("data", "pictured"),
    [
        (files.text_pdf(b""), True),
        (files.text_pdf(b"A title"), False),
        (stamped(b"Scanned with a telephone", 612), True),
        (stamped(b"A title with an ornament", 200), False),
        (stamped(b"A text on a background. " * 20, 612), False),
    ],
)
def test_a_page_is_a_picture_if_a_picture_covers_it_and_it_has_little_text(data: bytes, pictured: bool) -> None:
    assert [page and page.pictured for page in texts(data, MOST_PAGES)] == [pictured]


def test_a_damaged_page_is_none_and_the_others_are_read() -> None:
    data = files.text_pdf(b"one", b"two").replace(b"/Kids[4 0 R 6 0 R]", b"/Kids[4 0 R 9 0 R]")
    assert words(data) == ["one", None]
    assert pictures(data, [2], LONGEST) == [None]


def test_an_unexpected_error_of_the_library_damages_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(page: pypdfium2.PdfPage, *_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(pypdfium2.PdfPage, "get_textpage", fail)
    assert words(files.text_pdf(b"one", b"two")) == [None, None]


def test_a_page_with_a_broken_stream_is_read_as_far_as_it_goes() -> None:
    whole = files.compressed(b"BT /F 12 Tf 72 700 Td (Hello) Tj ET" + b" " * 9)
    assert words(files.pdf([whole.replace(b"x\xda", b"xx"), files.lines(b"World")])) == ["", "World"]


PAGE_OF_ITSELF = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"]
HELLO = files.text_pdf(b"Hello")


@pytest.mark.clause("IN-5")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The PDF specified was not valid."),
        (b"\x89PNG\r\n\x1a\n" * 99, "The PDF specified was not valid."),
        (b"%PDF-1.7\n%%EOF", "The PDF specified was not valid."),
        (HELLO[: len(HELLO) // 2], "The PDF specified was not valid."),
        (files.text_pdf(), "The PDF specified was not valid."),
        (files.encrypted(b"Hello", b"secret"), "The PDF specified is password protected."),
        (files.pdf([b"null"] * (MOST_PAGES + 1)), "A maximum of 600 PDF pages may be provided. (pdf_pages)"),
        (HELLO.replace(b"/Count 1", b"/Count 1000000"), "A maximum of 600 PDF pages may be provided. (pdf_pages)"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePdf) as refused:
        texts(data, MOST_PAGES)
    assert str(refused.value) == reason


def test_as_many_pages_as_the_api_allows_are_read() -> None:
    assert words(files.text_pdf(*[b"x"] * MOST_PAGES)) == ["x"] * MOST_PAGES


def test_the_characters_of_all_pages_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_pages, "MOST_CHARACTERS", 9)
    assert words(files.text_pdf(b"four", b"five!")) == ["four", "five!"]
    with pytest.raises(UnreadablePdf, match="The PDF specified has more than 9 characters"):
        texts(files.text_pdf(b"four", b"five!", b"s"), MOST_PAGES)


@pytest.mark.parametrize(
    "objects",
    [
        PAGE_OF_ITSELF,
        [b"<</Type/Catalog/Pages 1 0 R>>"],
        [b"<</Type/Catalog/Pages 2 0 R>>", *(b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (n + 3) for n in range(3000)), b"<<>>"],
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", b"<</Type/Page/Contents 4 0 R>>", b"4 0 R"],
        [b"<</Type/Catalog/Pages 2 0 R/X %b>>" % (b"[" * 99999), b"<</Type/Pages/Count 1/Kids[3 0 R]>>", b"<</Type/Page>>"],
    ],
)
def test_objects_that_refer_to_themselves_or_are_nested_deeply_end_in_pages_or_a_refusal(objects: list[bytes]) -> None:
    with suppress(UnreadablePdf):
        assert set(words(files.file_of(objects))) <= {"", None}


def test_a_picture_has_the_length_that_was_asked_for() -> None:
    data = files.scan(2, 1, bytes([255, 0, 0, 0, 0, 255]))
    (drawn,) = pictures(data, [1], LONGEST)
    picture = _picture(drawn)
    assert (picture.format, picture.size) == ("PNG", (310, LONGEST))
    left, right = picture.getpixel((9, 200)), picture.getpixel((300, 200))
    assert left == (255, 0, 0)
    assert right == (0, 0, 255)


def test_the_same_page_gives_the_same_bytes_each_time() -> None:
    data = files.text_pdf(b"Hello", b"World")
    assert pictures(data, [1, 2], LONGEST) == pictures(data, [1, 2], LONGEST)


@pytest.mark.parametrize(
    "box", [b"0 0 1e30 1", b"0 0 100000 0.5", b"0 0 0 0", b"nan nan nan nan", b"9 9 -9 -9", b"0 0 1e-9 1e-9"]
)
def test_a_page_of_any_size_gives_a_picture_within_the_limit(box: bytes) -> None:
    (drawn,) = pictures(files.pdf([files.lines(b"x")], box=box), [1], LONGEST)
    assert 1 <= min(_picture(drawn).size) <= max(_picture(drawn).size) <= LONGEST


def test_a_small_page_is_not_enlarged_without_limit() -> None:
    (drawn,) = pictures(files.pdf([files.lines(b"x")], box=b"0 0 20 10"), [1], LONGEST)
    assert _picture(drawn).size == (80, 40)


def test_a_photograph_becomes_a_jpeg_that_is_smaller() -> None:
    pixels = random.Random(1).randbytes(3 * 900 * 900)
    (drawn,) = pictures(files.scan(900, 900, pixels), [1], 1200)
    assert _picture(drawn).format == "JPEG"
    assert drawn is not None
    assert len(drawn) < 1 << 20


def _font(to_unicode: int) -> bytes:
    return b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode %d 0 R>>" % to_unicode
