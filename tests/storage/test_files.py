"""Keeping files: sizes and digests, expiry, the limit, and the stores of contents."""

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

import pytest

from dragoman.errors import InvalidRequest, StorageFailed, UnknownObject
from dragoman.storage.files import FileStore, NewFile, StoredFile
from dragoman.storage.pages import Page
from dragoman.storage.place import Place


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


NEW = NewFile("", "a.txt", "text/plain")


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def content(store: FileStore, file: StoredFile) -> bytes:
    return b"".join([chunk async for chunk in await store.read(file)])


async def check_round_trip(place: Place) -> None:
    store = FileStore(place)
    file = await store.add(NEW, chunks(b"ab", b"c" * 6_000_000))
    assert (file.size, file.digest) == (6_000_002, sha256(b"ab" + b"c" * 6_000_000).hexdigest())
    assert await store.find(file.id, "") == file
    assert await content(store, file) == b"ab" + b"c" * 6_000_000
    again = await store.add(replace(NEW, id=file.id), chunks(b"other"))
    assert await content(store, again) == b"other"
    listed, more = await store.page("", Page(1))
    assert (listed, more) == ([again], False)
    await store.delete(file.id, "")
    with pytest.raises(StorageFailed, match="a file cannot be read"):
        await content(store, file)
    await store.close()


async def test_a_file_is_read_as_it_was_kept(place: Place) -> None:
    await check_round_trip(place)


@pytest.mark.slow
async def test_contents_are_kept_in_an_s3_compatible_store(s3: str, monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    if place.database is not None:
        return  # one database is enough
    variables = {
        "ENDPOINT": s3,
        "ACCESS_KEY_ID": "any",
        "SECRET_ACCESS_KEY": "any",
        "REGION": "us-east-1",
        "ALLOW_HTTP": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    await check_round_trip(replace(place, files="s3://files/some/prefix"))
    nowhere = FileStore(replace(place, files="s3://nowhere"))
    with pytest.raises(StorageFailed, match="a file cannot be kept"):
        await nowhere.add(NEW, chunks(b"a"))
    assert await nowhere.page("", Page(1)) == ([], False)
    await nowhere.close()


@pytest.mark.clause("FIL-3")
async def test_the_content_of_an_expired_file_is_removed(place: Place) -> None:
    clock = Clock()
    store = FileStore(place, limit=10, now=clock)
    file = await store.add(replace(NEW, lifetime=100), chunks(b"12345678"))
    with pytest.raises(InvalidRequest, match="files would take"):
        await store.add(NEW, chunks(b"123"))
    clock.now = 1700
    assert await store.find(file.id, "") == file
    with pytest.raises(UnknownObject) as raised:
        await store.read(file)
    assert raised.value.details == {"error_code": "file_expired"}
    await store.add(NEW, chunks(b"12345678"))
    await store.close()
