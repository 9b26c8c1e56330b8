"""The contents of files in an S3-compatible store (`--files-store s3://BUCKET/PREFIX`)."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress

from dragoman.storage.contents import CHUNK, Contents, failing


class S3Contents(Contents):
    """Contents as objects of a bucket. Address and credentials are those of the variables `AWS_…`, which other programs use."""

    def __init__(self, url: str) -> None:
        from obstore.store import S3Store  # noqa: PLC0415 -- an optional dependency

        self._store: S3Store = S3Store.from_url(url)

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a content, in several parts if it is large."""
        with _failing("a file cannot be kept"):
            await self._store.put_async(name, chunks)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """Yield a content in chunks."""
        with _failing("a file cannot be read"):
            found = await self._store.get_async(name)
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def delete(self, name: str) -> None:
        """Remove a content, if it is there."""
        with _failing("a file cannot be removed"), suppress(FileNotFoundError):
            await self._store.delete_async(name)

    async def close(self) -> None:
        """Do nothing: the store holds nothing that must be released."""


def _failing(sentence: str) -> AbstractContextManager[None]:
    from obstore.exceptions import BaseError  # noqa: PLC0415

    return failing(sentence, BaseError, FileNotFoundError)
