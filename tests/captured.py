"""Read the exchange that a server with `--capture` wrote for a response."""

from pathlib import Path

from controllable_engine import until
from dragoman.observability import CapturedExchange
from server.http import Answer


def file_of(folder: Path, answer: Answer | str) -> Path:
    """The file of a response, or of a request id, once it exists: it is written after the client has its response."""
    request_id = answer if isinstance(answer, str) else answer.headers["request-id"]
    until(lambda: bool(list(folder.glob(f"*-{request_id}.json"))))
    (path,) = folder.glob(f"*-{request_id}.*")
    return path


def exchange_of(folder: Path, answer: Answer | str) -> CapturedExchange:
    """The captured exchange of a response, or of a request id."""
    return CapturedExchange.read(file_of(folder, answer))
