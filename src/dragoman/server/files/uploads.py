"""Receives uploads: forms in `multipart/form-data` with one file, which goes to a temporary file while it arrives."""

import asyncio
import mimetypes
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from dragoman.errors import InvalidRequest
from dragoman.server.transport.body import declared_length, too_large
from dragoman.server.transport.disconnect import ClientGone
from dragoman.server.transport.encoding import decoder_of
from dragoman.storage.contents import CHUNK

MOST_BYTES: Final = 500 * 1024 * 1024
"""The largest upload, as in the API."""
_MOST_FIELDS: Final = 20
_LONGEST_FIELD: Final = 64 * 1024
_LONGEST_NAME: Final = 255
_UNKNOWN: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload, complete: its file, of `size` bytes, and the other fields of the form."""

    file: UploadFile
    fields: Mapping[str, str]

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.file.size or 0

    @property
    def mime_type(self) -> str:
        """The type that the client declares, or the one that the file's name says."""
        declared = (self.file.content_type or "").partition(";")[0].strip().lower()
        if declared and declared != _UNKNOWN:
            return declared
        return mimetypes.guess_type(self.file.filename or "")[0] or declared or _UNKNOWN

    @property
    def filename(self) -> str:
        """The last part of the file's name; one for a file without a name. Raises `InvalidRequest` if it is too long."""
        name = (self.file.filename or "").replace("\\", "/").rpartition("/")[2]
        name = "".join(character for character in name if character.isprintable()).strip()
        if len(name) > _LONGEST_NAME:
            raise InvalidRequest.at("file", f"its name should have at most {_LONGEST_NAME} characters")
        return name or f"unnamed{mimetypes.guess_extension(self.mime_type) or ''}"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content of the file."""
        await self.file.seek(0)
        while chunk := await self.file.read(CHUNK):
            yield chunk
            await asyncio.sleep(0)  # a small file is in memory, and reading it does not wait

    def lifetime(self, name: str, least: int, most: int) -> int | None:
        """Return the seconds in a field; None without it. Raises `InvalidRequest`."""
        given = self.fields.get(name)
        if given is None:
            return None
        if not (given.isascii() and given.isdecimal() and len(given) <= len(str(most)) and least <= int(given) <= most):
            raise InvalidRequest.at(name, f"Input should be a valid integer between {least} and {most}")
        return int(given)


class _FormParser(MultiPartParser):
    """A parser for which the part `file` is a file even without a name: the SDKs send bytes so."""

    def on_headers_finished(self) -> None:
        """Give the part an empty name if it has none."""
        _, options = parse_options_header(self._current_part.content_disposition or b"")
        if options.get(b"name") == b"file" and b"filename" not in options:
            self._current_part.content_disposition = (self._current_part.content_disposition or b"") + b'; filename=""'
        super().on_headers_finished()


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Upload]:
    """Receive an upload, which is kept for the duration of the context.

    Raises `InvalidRequest`, `RequestTooLarge`, `ClientGone`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidRequest.at("content-type", "must be multipart/form-data")
    parser = _FormParser(request.headers, _bounded(request), max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the body is not a valid form: {error.message}") from None
    except ClientDisconnect:
        raise ClientGone from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest.at("file", "Field required")
        yield Upload(file, {name: value for name, value in form.items() if isinstance(value, str)})
    finally:
        await form.close()


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the body. Raises `InvalidRequest`, `RequestTooLarge`, and `ClientDisconnect`."""
    decoder = decoder_of(request.headers)
    declared_length(request, MOST_BYTES)
    received = decoded = 0
    async for data in request.stream():
        received += len(data)
        for piece in decoder.decode(data):
            decoded += len(piece)
            if max(received, decoded) > MOST_BYTES:
                raise too_large(MOST_BYTES)
            yield piece
    decoder.end()
