"""A fake Hub for tests, with the part of its HTTP API that `huggingface_hub` uses to find and download a file.

Like the real one it redirects a download to another host (here the same server under another name), with the size and the
checksum of the file in the headers of the redirect.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_opensesame"

INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)(?:\?.*)?")
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/main/(?P<file>.+)")
CONTENT = re.compile(r"/content/(?P<etag>\w+)")
RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """The repositories and the received requests. `cut` is the number of bytes after which the next download breaks."""

    url: str
    content_url: str
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    broken: bool = False
    cut: int | None = None
    requests: list[Request] = field(default_factory=list)

    def add(self, repo: str, *names: str, size: int = 1000) -> None:
        """Add a repository with the named files, which have a GGUF header and differ from each other."""
        self.repos[repo] = {name: model(f"{repo}/{name}", size) for name in names}

    @property
    def downloads(self) -> list[Request]:
        return [request for request in self.requests if CONTENT.fullmatch(request.path)]


def model(text: str, size: int = 1000) -> bytes:
    """The beginning of a GGUF file of version 3, and bytes that depend on the text."""
    head = b"GGUF\x03\x00\x00\x00" + bytes(16)
    return head + (text.encode() * (size // len(text) + 1))[: size - len(head)]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = server.hub = Hub(f"http://127.0.0.1:{server.server_port}", f"http://localhost:{server.server_port}")  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        token = self.headers["authorization"]
        self.hub.requests.append(Request(self.command, self.path, self.headers["range"], token))
        if self.hub.broken:
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE)
        elif match := CONTENT.fullmatch(self.path):
            self.send_content(match["etag"])
        elif token not in (None, f"Bearer {TOKEN}"):
            self.answer(HTTPStatus.UNAUTHORIZED, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif match := INFO.fullmatch(self.path) or RESOLVE.fullmatch(self.path):
            self.send_repo(match["repo"], match.groupdict().get("file"), authenticated=token is not None)
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 — the base class finds it by this name

    def send_repo(self, repo: str, file: str | None, *, authenticated: bool) -> None:
        files = self.hub.repos.get(repo)
        if files is None or (repo in self.hub.private and not authenticated):
            # Without a valid token the Hub does not reveal whether a repository exists.
            status = HTTPStatus.NOT_FOUND if authenticated else HTTPStatus.UNAUTHORIZED
            self.answer(status, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif file is None:
            siblings = [{"rfilename": name} for name in files]
            self.answer(HTTPStatus.OK, body=json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
        elif repo in self.hub.gated and not authenticated:
            self.answer(HTTPStatus.UNAUTHORIZED, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif file not in files:
            self.answer(HTTPStatus.NOT_FOUND, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": len(files[file]), "X-Linked-ETag": f'"{etag(files[file])}"'}
            self.answer(HTTPStatus.FOUND, {**headers, "Location": f"{self.hub.content_url}/content/{etag(files[file])}"})

    def send_content(self, wanted: str) -> None:
        content = next(data for files in self.hub.repos.values() for data in files.values() if etag(data) == wanted)
        requested = RANGE.fullmatch(self.headers["range"] or "")
        start, total = int(requested[1]) if requested else 0, len(content)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if requested else HTTPStatus.OK)
        self.send_header("Content-Length", str(total - start))
        if requested:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        end, self.hub.cut = self.hub.cut, None
        self.wfile.write(content[start:end])

    def answer(self, status: HTTPStatus, headers: dict[str, Any] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: `Hub.requests` has the requests."""


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
