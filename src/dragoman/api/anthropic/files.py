"""Files as the API describes them."""

from collections.abc import Sequence

from msgspec import Struct


class FileMetadata(Struct, frozen=True, tag="file"):
    """A file (FIL-1). Times are in RFC 3339; `expires_at` is null if it does not expire."""

    id: str
    filename: str
    mime_type: str
    size_bytes: int
    created_at: str
    expires_at: str | None
    downloadable: bool


class FilePage(Struct, frozen=True):
    """A page of the list. `next_page` is for new clients, the fields after it for older ones (FIL-2)."""

    data: Sequence[FileMetadata]
    next_page: str | None
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedFile(Struct, frozen=True, tag="file_deleted"):
    """The response to a deletion."""

    id: str
