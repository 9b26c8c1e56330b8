"""A headless Chromium of the system, and a page of a server with traffic.

Both are closed after the tests of this folder: while Playwright runs, no other test of the process can run an event loop.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from browser.traffic import chromium, serving, traffic

SECONDS = 15

Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def url() -> Iterator[str]:
    with serving() as url:
        traffic(url)
        yield url


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page, and checks at the end that nothing failed, violated the policy, or came from another host."""
    problems: list[str] = []
    contexts = []

    def open_page(url: str, view: str = "#requests", *, width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme="dark" if dark else "light")
        contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        page.on("console", lambda line: problems.append(f"console: {line.text}") if "Content Security" in line.text else None)
        page.on("request", lambda request: _check(request.url, url, problems))
        page.goto(f"{url}/{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def _check(requested: str, url: str, problems: list[str]) -> None:
    if not requested.startswith((f"{url}/", "data:", "blob:")):
        problems.append(f"a request to {requested}")
