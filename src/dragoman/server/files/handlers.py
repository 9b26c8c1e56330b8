"""What the handlers of files do in both APIs."""

from abc import ABC, abstractmethod

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dragoman.server.access.auth import owner_of
from dragoman.server.files.uploads import Upload, received
from dragoman.server.transport.respond import json_response
from dragoman.storage.files import FileStore, NewFile, StoredFile


class FileHandlers(ABC):
    """The handlers of the paths of files, in one API."""

    def __init__(self, store: FileStore) -> None:
        self.store = store

    async def upload(self, request: Request) -> Response:
        """Keep a file (FIL-1). Raises `InvalidRequest`, `RequestTooLarge`, `StorageFailed`."""
        async with received(request) as upload:
            new = self.new(upload, owner_of(request))
            request.state.record.body_bytes = upload.size
            return json_response(self.described(await self.store.add(new, upload.chunks(), upload.size)))

    async def retrieve(self, request: Request) -> Response:
        """Answer with what is known of a file. Raises `UnknownObject`."""
        return json_response(self.described(await self._find(request)))

    async def content(self, request: Request) -> Response:
        """Send the content of a file. Raises `UnknownObject`, `InvalidRequest`, `StorageFailed`."""
        file = await self._find(request)
        self.check_download(file)
        chunks = await self.store.read(file)
        headers = {"content-length": str(file.size), "content-disposition": "attachment", "x-content-type-options": "nosniff"}
        return StreamingResponse(chunks, media_type=file.mime_type, headers=headers)

    async def delete(self, request: Request) -> Response:
        """Remove a file. Raises `UnknownObject`."""
        identifier = _id(request)
        await self.store.delete(identifier, owner_of(request))
        return json_response(self.deleted(identifier))

    async def _find(self, request: Request) -> StoredFile:
        return await self.store.find(_id(request), owner_of(request))

    @abstractmethod
    async def list(self, request: Request) -> Response:
        """Answer with a page of the files. Raises `InvalidRequest`."""

    @abstractmethod
    def new(self, upload: Upload, owner: str) -> NewFile:
        """Return the file that an upload asks for. Raises `InvalidRequest`."""

    @abstractmethod
    def check_download(self, file: StoredFile) -> None:
        """Raise `InvalidRequest` if the content of a file is not sent."""

    @abstractmethod
    def described(self, file: StoredFile) -> msgspec.Struct:
        """Return the description of a file."""

    @abstractmethod
    def deleted(self, identifier: str) -> msgspec.Struct:
        """Return the response to a deletion."""


def _id(request: Request) -> str:
    return str(request.path_params["file"])
