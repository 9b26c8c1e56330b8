"""Files as OpenAI's API describes them."""

from collections.abc import Sequence

from msgspec import Struct


class FileObject(Struct, frozen=True, tag_field="object", tag="file"):
    """A file. Times are in seconds since the epoch."""

    id: str
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str = "processed"
    status_details: None = None


class FileList(Struct, frozen=True, tag_field="object", tag="list"):
    """A page of the list."""

    data: Sequence[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Struct, frozen=True, tag_field="object", tag="file"):
    """The response to a deletion."""

    id: str
    deleted: bool = True
