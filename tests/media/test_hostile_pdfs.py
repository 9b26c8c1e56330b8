"""Hundreds of broken and hostile PDFs: each is read or refused in bounded time, and the next one is read."""

from collections import Counter
from itertools import chain, islice

import pytest

from dragoman.media.pdf import PdfReader
from dragoman.media.pdf_pages import UnreadablePdf
from dragoman.worker_pool import TooExpensive, WorkerPool

from .hostile_pdfs import bombs, damaged
from .pdf_files import text_pdf


@pytest.mark.slow
async def test_every_pdf_is_read_or_refused_in_bounded_time() -> None:
    pool = WorkerPool(workers=2, seconds=1, memory=256 << 20, preload=("dragoman.media.pdf_pages", "pypdfium2", "PIL.Image"))
    reader, outcomes = PdfReader(600, pool, seconds=2, side=64), Counter[str]()
    whole = await reader.read(text_pdf(b"Hello"), sees=False)
    for data in chain(bombs(), islice(damaged(seed=12), 250)):
        try:
            outcomes["read"] += bool((await reader.read(data, sees=True)).parts)
        except (UnreadablePdf, TooExpensive) as refused:
            outcomes[str(refused)] += 1
    assert await reader.read(text_pdf(b"Hello"), sees=False) == whole
    assert sum(outcomes.values()) == 257
    assert min(outcomes["read"], outcomes["The PDF specified was not valid."]) > 50, outcomes
    await pool.close()
