"""`/v1/files` in Anthropic's form."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dragoman.api.anthropic.files import DeletedFile, FileMetadata, FilePage
from dragoman.api.anthropic.times import rfc3339
from dragoman.errors import InvalidRequest
from dragoman.server.access.auth import owner_of
from dragoman.server.files.handlers import FileHandlers
from dragoman.server.files.uploads import Upload
from dragoman.server.transport.paging import cursor_of, ends_of, listed_in, page_of
from dragoman.server.transport.respond import json_response
from dragoman.storage.files import NewFile, StoredFile

_SHORTEST_S: Final = 3600
_LONGEST_S: Final = 7_776_000
_MOST_IDS: Final = 100


class AnthropicFiles(FileHandlers):
    """The files of the Messages API."""

    async def list(self, request: Request) -> Response:
        """Answer with a page of the files, or with those of the given ids (FIL-2). Raises `InvalidRequest`."""
        query, owner = request.query_params, owner_of(request)
        if identifiers := listed_in(query, "ids"):
            if len(identifiers) > _MOST_IDS:
                raise InvalidRequest.at("ids", f"List should have at most {_MOST_IDS} items")
            if {"page", "limit", "after_id", "before_id"} & set(query):
                raise InvalidRequest.at("ids", "cannot be combined with `page` and `limit`")
            return json_response(self._page(await self.store.find_several(identifiers, owner), more=False))
        files, more = await self.store.page(owner, page_of(query))
        return json_response(self._page(files, more=more))

    def _page(self, files: Sequence[StoredFile], *, more: bool) -> FilePage:
        following = cursor_of(files[-1].created, files[-1].id) if more else None
        first, last = ends_of(files)
        return FilePage([self.described(file) for file in files], following, more, first, last)

    def new(self, upload: Upload, owner: str) -> NewFile:
        """Return the file that an upload asks for. Raises `InvalidRequest`."""
        lifetime = upload.lifetime("expires_in_seconds", _SHORTEST_S, _LONGEST_S)
        return NewFile(owner, upload.filename, upload.mime_type, lifetime=lifetime)

    def check_download(self, file: StoredFile) -> None:
        """Raise `InvalidRequest` for a file that a client uploaded (FIL-3)."""
        if not file.downloadable:
            reason = f"File `{file.id}` is not downloadable: only files that the server made are."
            raise InvalidRequest(reason, details={"error_code": "file_not_downloadable"})

    def described(self, file: StoredFile) -> FileMetadata:
        """Return the description of a file."""
        expires = None if file.expires is None else rfc3339(file.expires)
        created = rfc3339(file.created)
        return FileMetadata(file.id, file.filename, file.mime_type, file.size, created, expires, file.downloadable)

    def deleted(self, identifier: str) -> DeletedFile:
        """Return the response to a deletion."""
        return DeletedFile(identifier)
