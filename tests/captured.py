"""What a server with `--capture` wrote of an answer."""

from pathlib import Path

from dragoman.observability import CapturedExchange
from server.http import Answer
from stage import until


def file_of(folder: Path, answer: Answer | str) -> Path:
    """The file of an answer, or of a request's id, once it is there: it is written when the client has its answer already."""
    request_id = answer if isinstance(answer, str) else answer.headers["request-id"]
    until(lambda: bool(list(folder.glob(f"*-{request_id}.json"))))
    (path,) = folder.glob(f"*-{request_id}.*")
    return path


def exchange_of(folder: Path, answer: Answer | str) -> CapturedExchange:
    """What is in it."""
    return CapturedExchange.read(file_of(folder, answer))
