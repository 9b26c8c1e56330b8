"""A Hub for tests: as much of its HTTP as `huggingface_hub` uses to find and download a file.

Like the real one it sends a file from another host than the one that is asked for it (here the same server, under another
name), with the facts about it in the headers of the redirect.
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
    """What the tests put in, and what was asked. `cut` is after how many bytes the next download breaks off."""

    url: str
    content_url: str
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    broken: bool = False
    cut: int | None = None
    requests: list[Request] = field(default_factory=list)

    def add(self, repo: str, *names: str, size: int = 1000) -> None:
        """Put in a repository whose .gguf files begin as such files do and are different from each other."""
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
            self.send_repo(match["repo"], match.groupdict().get("file"), known=token is not None)
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 — the base class finds it by this name

    def send_repo(self, repo: str, file: str | None, *, known: bool) -> None:
        files = self.hub.repos.get(repo)
        if files is None or (repo in self.hub.private and not known):
            # Who does not say who they are is not told what there is.
            status = HTTPStatus.NOT_FOUND if known else HTTPStatus.UNAUTHORIZED
            self.answer(status, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif file is None:
            siblings = [{"rfilename": name} for name in files]
            self.answer(HTTPStatus.OK, body=json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
        elif repo in self.hub.gated and not known:
            self.answer(HTTPStatus.UNAUTHORIZED, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif file not in files:
            self.answer(HTTPStatus.NOT_FOUND, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            facts = {"X-Repo-Commit": COMMIT, "X-Linked-Size": len(files[file]), "X-Linked-ETag": f'"{etag(files[file])}"'}
            self.answer(HTTPStatus.FOUND, {**facts, "Location": f"{self.hub.content_url}/content/{etag(files[file])}"})

    def send_content(self, wanted: str) -> None:
        content = next(data for files in self.hub.repos.values() for data in files.values() if etag(data) == wanted)
        asked = RANGE.fullmatch(self.headers["range"] or "")
        start, total = int(asked[1]) if asked else 0, len(content)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        self.send_header("Content-Length", str(total - start))
        if asked:
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
        """Say nothing: `Hub.requests` is the log."""


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
