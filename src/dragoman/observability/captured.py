"""A request and its answer, as a file that can be sent again: what `--capture` writes and `dragoman replay` reads.

`kept` says what of a request a file may hold; what was taken out is named in the file.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct


class BadCapture(ValueError):
    """A file that holds no exchange; the message names it."""


class CapturedRequest(Struct, frozen=True):
    """A request. `body` is its text, in `charset`; not `whole`: it was not read to its end, and cannot be sent again."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str
    charset: str = "utf-8"
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.body.encode(self.charset)


class CapturedResponse(Struct, frozen=True):
    """An answer: what was written, and when, in seconds since the request came in; a stream's writes hold whole events.

    `status` is 0 where there was none. `whole` is false where the client left before the end.
    """

    status: int
    headers: Mapping[str, str]
    body: tuple[tuple[float, str], ...]
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return "".join(text for _, text in self.body).encode()


class CapturedExchange(Struct, frozen=True):
    """One request and its answer. `began` is in ISO 8601; `removed` names headers and fields that are not what they were."""

    request_id: str
    began: str
    request: CapturedRequest
    response: CapturedResponse
    removed: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Names sort by time."""
        return f"{re.sub(r'[-:]', '', self.began)}-{self.request_id}.json"

    def write(self, folder: Path) -> None:
        """Write the file, all of it or none, readable by its owner alone. Raises `OSError`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / self.file_name
        unfinished = path.with_suffix(".unfinished")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))
            unfinished.replace(path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, path: Path) -> "CapturedExchange":
        """Raises `BadCapture`."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise BadCapture(f"{path}: {error}") from error
