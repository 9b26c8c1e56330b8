"""`/v1/files` in OpenAI's form."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dragoman.api.openai.files import FileDeleted, FileList, FileObject
from dragoman.errors import InvalidRequest
from dragoman.server.access.auth import owner_of
from dragoman.server.files.handlers import FileHandlers
from dragoman.server.files.uploads import Upload
from dragoman.server.transport.paging import ends_of, openai_page_of
from dragoman.server.transport.respond import json_response
from dragoman.storage.files import NewFile, StoredFile

BATCH: Final = "batch"
_PURPOSES: Final = ("assistants", BATCH, "fine-tune", "vision", "user_data", "evals")
_SHORTEST_S: Final = 3600
_LONGEST_S: Final = 2_592_000
_LARGEST_PAGE: Final = 10_000


class OpenAIFiles(FileHandlers):
    """The files of OpenAI's API."""

    async def list(self, request: Request) -> Response:
        """Answer with a page of the files. Raises `InvalidRequest`."""
        query = request.query_params
        page = openai_page_of(query, _LARGEST_PAGE, _LARGEST_PAGE)
        files, more = await self.store.page(owner_of(request), page, query.get("purpose"))
        first, last = ends_of(files)
        return json_response(FileList([self.described(file) for file in files], first, last, more))

    def new(self, upload: Upload, owner: str) -> NewFile:
        """Return the file that an upload asks for. Raises `InvalidRequest`."""
        purpose = upload.fields.get("purpose")
        if purpose not in _PURPOSES:
            raise InvalidRequest.at("purpose", f"Input should be one of {', '.join(_PURPOSES)}")
        if (anchor := upload.fields.get("expires_after[anchor]")) not in (None, "created_at"):
            raise InvalidRequest.at("expires_after.anchor", f"Input should be 'created_at', not '{anchor}'")
        lifetime = upload.lifetime("expires_after[seconds]", _SHORTEST_S, _LONGEST_S)
        if purpose == BATCH and lifetime is None:
            lifetime = _LONGEST_S
        return NewFile(owner, upload.filename, upload.mime_type, purpose, lifetime)

    def check_download(self, file: StoredFile) -> None:
        """Send every file: clients of this API read back what they uploaded."""

    def described(self, file: StoredFile) -> FileObject:
        """Return the description of a file."""
        expires = None if file.expires is None else int(file.expires)
        return FileObject(file.id, file.size, int(file.created), expires, file.filename, file.purpose)

    def deleted(self, identifier: str) -> FileDeleted:
        """Return the response to a deletion."""
        return FileDeleted(identifier)
