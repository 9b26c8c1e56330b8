"""A search server on loopback that answers like SearXNG, or in the ways in which a broken or hostile one does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGES = [
    {
        "url": "https://tides.example/ulm",
        "title": "Tides of <b>Ulm</b>",
        "content": "High tide is at 12:34 &amp; low tide at 18:47.",
        "publishedDate": "2026-11-20T00:00:00",
        "engine": "test",
    },
    {"url": "https://blog.other.example/sea", "title": "The sea", "content": "It is wide."},
    {"url": "ftp://files.example/x", "title": "Not a page", "content": ""},
]


class SearchServer:
    """The queries that it got. `pages` are its results; `answers` sets what to send instead for a query."""

    def __init__(self) -> None:
        self.url = ""
        self.pages: list[Any] = list(PAGES)
        self.queries: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.released = threading.Event()
        self.waiting = threading.Event()

    def answer(self, query: str) -> tuple[int, bytes]:
        self.queries.append(query)
        if query == "wait":
            self.waiting.set()
            self.released.wait(20)
        return self.answers.get(query) or (200, json.dumps({"query": query, "results": self.pages}).encode())


@contextmanager
def search_server() -> Iterator[SearchServer]:
    """Run a search server."""
    state = SearchServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            assert asked["format"] == ["json"]
            status, body = state.answer(asked["q"][0])
            try:
                self.send_response(status)
                if body == ENDLESS:
                    self.end_headers()
                    while True:
                        self.wfile.write(b" " * 65536)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the client has read enough

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


ENDLESS = b"(endless)"
