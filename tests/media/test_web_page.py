"""The text of web pages is extracted, whatever a page consists of."""

import pytest

from dragoman.media.web_page import PageReader, WebPage, page_of
from media.inline_pool import InlinePool

PAGE = """<!doctype html><html><head><title>Tides &amp;
moons</title><style>b{}</style><script>var secret = 1;</script></head><body>
<nav><ul><li><a href="/">Home</a></ul></nav>
<article><h1>How tides work</h1><p>The <b>moon</b> pulls the sea. See <a href="/more">more</a>.</p>
<table><tr><th>Place<th>Range<tr><td>Fundy<td>16 m</table><ul><li>spring tide<li>neap tide</ul></article>
<footer>Copyright</footer></body></html>"""


def test_a_page_becomes_its_title_and_text_with_links() -> None:
    page = page_of(PAGE.encode(), "https://site.test/a", "")
    assert page.title == "Tides & moons"
    for part in ("# How tides work", "The **moon** pulls", "[more](https://site.test/more)", "| Fundy | 16 m |", "- neap tide"):
        assert part in page.text
    assert "secret" not in page.text


@pytest.mark.parametrize(
    ("html", "charset", "text"),
    [
        (b"", "", ""),
        (b"\0\1\2", "", ""),
        (b"<html><body></body></html>", "", ""),
        ("<html><body><p>Grüße</p></body></html>".encode("latin-1"), "latin-1", "Grüße"),
        ("<html><body><p>Grüße</p></body></html>".encode(), "no-such-charset", "Grüße"),
        (b"<html><body>" + b"<div>" * 5000 + b"<p>deep down in the page", "", "deep down in the page"),
    ],
)
def test_a_page_of_any_form_is_read(html: bytes, charset: str, text: str) -> None:
    assert page_of(html, "https://site.test/", charset).text in (text, "")


async def test_pages_are_read_in_workers() -> None:
    pool = InlinePool()
    page = await PageReader(pool).read(b"<html><title>T</title><body><p>Words.</p></body></html>", "https://site.test/")
    assert (page, pool.jobs) == (WebPage("T", "Words."), ["page_of"])
