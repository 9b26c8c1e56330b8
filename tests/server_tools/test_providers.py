"""The search providers: what they send, what they read, and how they fail."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from dragoman.conversation import UserLocation
from dragoman.parts.server_tools import SearchHit
from dragoman.server_tools import SearchSettings, UnusableProvider
from dragoman.server_tools.declared import provider_of
from dragoman.server_tools.search.duckduckgo import entries_of
from dragoman.server_tools.search.provider import SearchFailed, SearchQuery, hits_of

QUERY = SearchQuery("high tide", ("a.example", "b.example/sea"), (), UserLocation(city="Ulm", country="de"))
PAGE = """
<div class="result results_links"><h2><a rel="nofollow" class="result__a"
 href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fa.example%2Ftides&amp;rut=1">Tides &amp; <b>sea</b></a></h2>
<a class="result__snippet" href="x">High tide is <b>at noon</b>.</a></div>
<div class="result result--ad"><a class="result__a" href="https://duckduckgo.com/y.js?ad=1">Buy a boat</a></div>
<div class="result"><a class="result__a" href="https://b.example/sea">The sea</a></div>
"""
ANSWERS: dict[str, Any] = {
    "searxng": {
        "results": [{"url": "https://a.example", "title": "A", "content": "it is", "publishedDate": "2026-11-20T10:00:00"}]
    },
    "brave": {
        "web": {
            "results": [
                {
                    "url": "https://a.example",
                    "title": "A",
                    "description": "it",
                    "extra_snippets": ["is", 5],
                    "age": "2026-11-20",
                }
            ]
        }
    },
    "tavily": {"results": [{"url": "https://a.example", "title": "A", "content": "it is", "published_date": "2026-11-20"}]},
    "duckduckgo": PAGE,
}
FOUND = {
    "searxng": [SearchHit("https://a.example", "A", "it is", "2026-11-20")],
    "brave": [SearchHit("https://a.example", "A", "it … is", "2026-11-20")],
    "tavily": [SearchHit("https://a.example", "A", "it is", "2026-11-20")],
    "duckduckgo": [
        SearchHit("https://a.example/tides", "Tides & sea", "High tide is at noon."),
        SearchHit("https://b.example/sea", "The sea"),
    ],
}
SITES = "high tide (site:a.example OR site:b.example/sea)"
Asked = list[tuple[web.Request, bytes]]


@pytest_asyncio.fixture
async def provider() -> AsyncGenerator[tuple[Callable[[Any, int], str], Asked]]:
    """`answer(body, status)`: sets what a server on loopback answers, and returns its URL; and the requests that it got."""
    asked: Asked = []
    reply: list[Any] = ["", 200]

    async def handle(request: web.Request) -> web.Response:
        asked.append((request, await request.read()))
        text = reply[0] if isinstance(reply[0], str) else json.dumps(reply[0])
        return web.Response(text=text, status=reply[1])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def answer(body: Any, status: int = 200) -> str:
        reply[:] = body, status
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield answer, asked
    await runner.cleanup()


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_provider_finds_pages(name: str, provider: Any) -> None:
    answer, asked = provider
    settings = SearchSettings.of(f"{name}:{answer(ANSWERS[name])}", "secret")
    assert list(await provider_of(settings).search(QUERY)) == FOUND[name]
    [(request, content)] = asked
    match name:
        case "searxng":
            assert (request.path, dict(request.query)) == ("/search", {"q": SITES, "format": "json"})
        case "brave":
            assert request.query["q"] == SITES
            assert request.query["country"] == "DE"
            assert request.headers["X-Subscription-Token"] == "secret"
        case "tavily":
            sent = json.loads(content)
            assert (sent["query"], sent["include_domains"]) == ("high tide", ["a.example", "b.example"])
            assert request.headers["Authorization"] == "Bearer secret"
        case "duckduckgo":
            assert b"q=high+tide" in content


@pytest.mark.parametrize(("status", "code"), [(429, "too_many_requests"), (403, "unavailable"), (500, "unavailable")])
@pytest.mark.parametrize("name", ANSWERS)
async def test_a_refusal_is_a_failure_with_a_code(name: str, status: int, code: str, provider: Any) -> None:
    answer, _ = provider
    with pytest.raises(SearchFailed) as failure:
        await provider_of(SearchSettings.of(f"{name}:{answer('', status)}", "secret")).search(QUERY)
    assert failure.value.code == code


async def test_a_provider_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(SearchFailed, match="ClientConnectorError"):
        await provider_of(SearchSettings.of("searxng:http://127.0.0.1:1", "")).search(QUERY)


def test_the_page_that_asks_for_a_human_is_a_limit() -> None:
    with pytest.raises(SearchFailed) as failure:
        entries_of('<div class="anomaly-modal__title">Select all squares with ducks</div>')
    assert failure.value.code == "too_many_requests"


PROGRAM = """
import json, sys
asked = json.load(sys.stdin)
assert asked["user_location"] == {"city": "Ulm", "country": "de"}, asked
print(json.dumps([{"url": "https://a.example", "title": asked["query"], "text": " ".join(asked["allowed_domains"])}]))
"""


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        (PROGRAM, [SearchHit("https://a.example", "high tide", "a.example b.example/sea")]),
        ("print('no JSON')", "did not write JSON"),
        ("raise SystemExit(3)", "ended with code 3"),
        ("while True: print('x' * 65536)", "wrote more than"),
        ("print('{}')", "has no list"),
    ],
)
async def test_a_command_searches(program: str, outcome: Any, tmp_path: Path) -> None:
    script = tmp_path / "search it.py"
    script.write_text(program)
    command = provider_of(SearchSettings.of(f"command:{sys.executable} '{script}'", ""))
    if isinstance(outcome, str):
        with pytest.raises(SearchFailed, match=outcome):
            await command.search(QUERY)
    else:
        assert list(await command.search(QUERY)) == outcome


async def test_a_command_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(SearchFailed, match="cannot be started"):
        await provider_of(SearchSettings.of("command:/no/such/program", "")).search(QUERY)


def test_what_is_not_a_page_is_left_out_and_long_texts_are_cut() -> None:
    entries = [
        {"url": "javascript:alert(1)", "title": "a"},
        {"url": "https://", "title": "a"},
        {"url": "https://a b.example"},
        {"url": 5},
        "text",
        {"url": "https://a.example", "title": "<b>A</b>\x07\n B", "text": "x" * 10_000, "age": ["2"]},
    ]
    [hit] = hits_of(entries)
    assert (hit.url, hit.title, hit.age) == ("https://a.example", "A B", "")
    assert len(hit.text) == 2_000


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("google", "is not a provider"),
        ("searxng", "needs its URL"),
        ("searxng:localhost", "is not an http or https URL"),
        ("brave", "needs a key"),
        ("command", "needs the command"),
    ],
)
def test_settings_that_cannot_work_say_what_is_missing(given: str, reason: str) -> None:
    with pytest.raises(UnusableProvider, match=reason):
        SearchSettings.of(given, "")
