"""A captured request and its response, as a file: `--capture` writes it, and `dragoman replay` sends it again.

The module `kept` decides what a file may contain of a request; the file names what was removed.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct


def iso_time(moment: datetime) -> str:
    """A moment in UTC in ISO 8601, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_in_name(moment: datetime) -> str:
    """A moment in UTC, as file names begin with it."""
    return _compact(iso_time(moment))


def _compact(time: str) -> str:
    return re.sub(r"[-:]", "", time)


class BadCapture(ValueError):
    """The file is not a captured exchange; the message names it."""


class CapturedRequest(Struct, frozen=True):
    """A captured request. `body` is its text in `charset`; unless it is `whole`, it cannot be replayed."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str
    charset: str = "utf-8"
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return self.body.encode(self.charset)


class CapturedResponse(Struct, frozen=True):
    """A captured response: each write with its time in seconds since the request arrived; writes of a stream are whole events.

    `status` is 0 if there was no response. `whole` is false if the client disconnected before the end.
    """

    status: int
    headers: Mapping[str, str]
    body: tuple[tuple[float, str], ...]
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return "".join(text for _, text in self.body).encode()


class CapturedExchange(Struct, frozen=True):
    """A captured request and its response. `began` is in ISO 8601; `removed` names the replaced headers and fields."""

    request_id: str
    began: str
    request: CapturedRequest
    response: CapturedResponse
    removed: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The file name, which sorts by time."""
        return f"{_compact(self.began)}-{self.request_id}.json"

    def write(self, folder: Path) -> int:
        """Write the file atomically, readable only by its owner. Returns its size in bytes. Raises `OSError`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / self.file_name
        unfinished = path.with_suffix(".unfinished")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                size = file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))
            unfinished.replace(path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        return size

    @classmethod
    def read(cls, path: Path) -> "CapturedExchange":
        """Read a file. Raises `BadCapture`."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise BadCapture(f"{path}: {error}") from error
