"""`GET /`: the page for browsers, the probe for other clients, and the files of the page."""

import re
from pathlib import Path

import pytest

from conftest import Serve
from controllable_engine import ControllableEngine
from dragoman.server import page
from server.http import ask, get

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
STATIC = Path(page.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())


def test_a_browser_gets_the_page_and_a_probe_its_answer(engine: ControllableEngine) -> None:
    shown = get(engine.url, "/", **BROWSER)
    assert shown.status == 200
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>Dragoman</title>" in shown.content
    for accept in ("*/*", "application/json"):
        assert get(engine.url, "/", accept=accept).json == {"status": "ok", "path": "/"}
    assert "accept" in shown.headers["vary"].lower()


def test_the_page_and_its_files_need_no_key(serve: Serve) -> None:
    url = serve(api_key="right")
    assert get(url, "/", **BROWSER).status == 200
    for path in page.PATHS:
        assert get(url, path).status == 200


@pytest.mark.parametrize("path", ["/", *page.PATHS])
def test_the_policy_allows_own_files_only_and_no_html_in_text(engine: ControllableEngine, path: str) -> None:
    headers = get(engine.url, path, **BROWSER).headers
    policy = {rule.split(" ")[0]: rule.split(" ")[1:] for rule in headers["content-security-policy"].split("; ")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert policy["img-src"] == ["'self'", "data:"]
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert policy["trusted-types"] == ["'none'"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_file_that_the_browser_has_is_not_sent_again(engine: ControllableEngine) -> None:
    first = get(engine.url, "/page/main.js")
    again = get(engine.url, "/page/main.js", if_none_match=first.headers["etag"])
    assert (again.status, again.content) == (304, b"")


def test_only_files_of_the_page_are_served(engine: ControllableEngine) -> None:
    for path in ("/page/", "/page/../__init__.py", "/page/%2e%2e/__init__.py", "/page/missing.js", "/page/index.html"):
        assert ask(engine.url, "GET", path).status in (401, 404)


def test_the_page_also_works_below_the_prefix(engine: ControllableEngine) -> None:
    assert get(engine.url, "/anthropic/", **BROWSER).status == 200
    assert get(engine.url, "/anthropic/page/main.js").status == 200


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_name_no_other_host_and_insert_no_html(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.", text)
    for sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        "javascript:",
    ):
        assert sink not in text


def test_every_file_is_used() -> None:
    texts = "".join(file.read_text(encoding="utf-8") for file in FILES)
    for file in FILES:
        assert file.name == "index.html" or file.name in texts


def test_files_are_short() -> None:
    assert max(len(file.read_text(encoding="utf-8").splitlines()) for file in FILES) <= 400
