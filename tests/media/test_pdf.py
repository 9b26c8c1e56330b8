"""PDFs in worker processes: what is read, what is kept, and what a PDF may cost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from dragoman.conversation import Image, Text
from dragoman.conversation.types import join_texts
from dragoman.media.pdf import MOST_IMAGES, Pdf, PdfReader
from dragoman.media.pdf_pages import UnreadablePdf, pictures
from dragoman.worker_pool import TooExpensive, WorkerPool

from . import pdf_files as files
from .inline_pool import InlinePool

LONGEST = 64
MIXED = files.text_pdf(b"Hello", b"", b"World", b"")


@pytest.fixture
def pool() -> InlinePool:
    return InlinePool()


def joined(pdf: Pdf) -> Pdf:
    """The PDF as the model reads it."""
    return replace(pdf, parts=join_texts(pdf.parts))


async def test_a_model_that_only_reads_gets_the_text_of_each_page_with_its_number(pool: InlinePool) -> None:
    text = Text(
        '<page number="1">\nHello\nWorld\n</page>\n'
        '<page number="2">\n[picture of this page omitted: this model cannot see images]\n</page>\n'
        '<page number="3">\nIt rained.\n</page>'
    )
    pdf = await PdfReader(600, pool, side=LONGEST).read(files.text_pdf(b"Hello\nWorld", b"", b"It rained."), sees=False)
    assert joined(pdf) == Pdf((text,), 3, 1)
    assert pool.jobs == ["texts"]


async def test_a_model_that_sees_gets_an_image_of_each_page_without_text(pool: InlinePool) -> None:
    pdf = await PdfReader(600, pool, side=LONGEST).read(MIXED, sees=True)
    assert pdf.omitted == 0
    before, second, between, fourth, after = joined(pdf).parts
    assert before == Text('<page number="1">\nHello\n</page>\n<page number="2">')
    assert between == Text('</page>\n<page number="3">\nWorld\n</page>\n<page number="4">')
    assert after == Text("</page>")
    for image, drawn in zip((second, fourth), pictures(MIXED, [2, 4], LONGEST), strict=True):
        assert isinstance(image, Image)
        assert drawn is not None
        assert image == Image(drawn, "image/png", sha256(drawn).hexdigest())


async def test_a_damaged_page_is_named(pool: InlinePool) -> None:
    data = files.text_pdf(b"one", b"two").replace(b"/Kids[4 0 R 6 0 R]", b"/Kids[4 0 R 9 0 R]")
    text = Text('<page number="1">\none\n</page>\n<page number="2">\n[page omitted: it is damaged]\n</page>')
    assert joined(await PdfReader(600, pool, side=LONGEST).read(data, sees=True)) == Pdf((text,), 2, 1)


async def test_a_long_scan_is_drawn_in_parts_up_to_a_number_of_pages(pool: InlinePool) -> None:
    pdf = await PdfReader(600, pool, side=LONGEST).read(files.text_pdf(*[b""] * (MOST_IMAGES + 2)), sees=True)
    assert sum(isinstance(part, Image) for part in pdf.parts) == MOST_IMAGES
    assert pdf.omitted == 2
    assert joined(pdf).parts[-1].text.count("[picture of this page omitted: only 100 pages are shown]") == 2
    assert pool.jobs.count("pictures") == MOST_IMAGES // 4


@pytest.fixture
async def workers() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(workers=1, seconds=1.5, memory=256 << 20, preload=("dragoman.media.pdf_pages", "pypdfium2"))
    yield made
    await made.close()


LONG_TEXT = files.compressed(b"BT /F 1 Tf " + b"(aaaaaaaaaa) Tj " * 1_000_000 + b"ET")
MANY_TILES = files.stream(
    b"0 0 1 1 re f",
    b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 0.001/YStep 0.001/Resources<<>>",
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (files.pdf([LONG_TEXT]), "takes more than|needs more than|crashed"),
        (
            files.pdf([files.stream(b"/Pattern cs /P scn 0 0 612 792 re f")], MANY_TILES, resources=b"/Pattern<</P 4 0 R>>"),
            "takes more than 1.5 seconds",
        ),
    ],
)
@pytest.mark.slow
async def test_a_pdf_that_exceeds_a_limit_is_refused_and_others_are_read(workers: WorkerPool, data: bytes, reason: str) -> None:
    reader = PdfReader(600, workers, side=LONGEST)
    with pytest.raises(TooExpensive, match=reason):
        await reader.read(data, sees=True)
    assert await reader.read(MIXED, sees=False) == await PdfReader(600, InlinePool()).read(MIXED, sees=False)


async def test_a_refusal_comes_from_a_worker_as_it_is(workers: WorkerPool) -> None:
    with pytest.raises(UnreadablePdf, match="The PDF specified was not valid"):
        await PdfReader(600, workers, side=LONGEST).read(b"%PDF-", sees=False)


async def test_the_time_of_a_whole_pdf_is_limited() -> None:
    class Slow(InlinePool):
        async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return await (asyncio.Event().wait() if function is pictures else super().run(function, *args, **kwargs))

    with pytest.raises(TooExpensive, match=r"takes more than 0\.05 seconds"):
        await PdfReader(600, Slow(), seconds=0.05).read(MIXED, sees=True)
