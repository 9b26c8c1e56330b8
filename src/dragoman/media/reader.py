"""Reads the attachments of requests: images and PDFs in worker processes, and what is at a URL if the operator allows that.

    request ──▶ Dialogue with attachments ──▶ MediaReader ──▶ Dialogue with text and images ──▶ prompt

Every outcome is kept by the digest of the data or by the URL, also that something cannot be read: clients send an attachment
again with each turn of a conversation.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Protocol

from dragoman.conversation import AttachmentKind, Dialogue, Image, Text
from dragoman.errors import UnknownObject
from dragoman.kept import Kept
from dragoman.media.data_kind import DataKind, kind_of
from dragoman.media.descriptions import Descriptions
from dragoman.media.fetching import Fetcher, Unfetchable
from dragoman.media.image_decoding import Decoded, UnreadableImage, decoded
from dragoman.media.outcomes import Key, Outcome, Sight, Wanted, later, soon, wanted, without_attachments
from dragoman.media.pdf import Pdf, PdfReader
from dragoman.media.pdf_pages import UnreadablePdf
from dragoman.media.shared_work import SharedWork
from dragoman.media.vision import Vision
from dragoman.worker_pool import TooExpensive, WorkerPool

_KEPT_BYTES: Final = 256 << 20
_RECENT_CHARACTERS: Final = 1_000_000
"""Characters of text in the outcomes that a worker gets before it asks for them."""
_RECENT: Final = 200
_IDLE_SECONDS: Final = 600.0
_PRELOAD: Final = ("dragoman.media.image_decoding", "PIL.Image")
FIRST_FRAME: Final = "[only the first of several frames or pages is shown]"


class KeptFile(Protocol):
    """What is known of a file."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    @property
    def digest(self) -> str:
        """The digest of the content."""


class Files(Protocol):
    """The files that requests may name."""

    async def find(self, identifier: str, owner: str) -> Any:
        """Return a `KeptFile`. Raises `UnknownObject`."""

    async def read(self, file: Any) -> AsyncIterator[bytes]:
        """Return the content of a file. Raises `UnknownObject` if it has expired."""


class MediaReader:
    """Reads attachments for one model.

    The workers that decode images do nothing else: an image that takes long delays no prompt.
    """

    def __init__(
        self,
        sight: Sight,
        fetcher: Fetcher | None = None,
        vision: Vision | None = None,
        files: Files | None = None,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        self.sight = replace(sight, images=sight.images or vision is not None, urls=fetcher is not None)
        self._fetcher = fetcher
        self._files = files
        self._descriptions = Descriptions(vision) if vision and not sight.images else None
        self._pdfs = PdfReader(sight.limits.pdf_pages)
        self._pool = WorkerPool(preload=_PRELOAD, idle_seconds=_IDLE_SECONDS)
        self._running: SharedWork[Key, Outcome] = SharedWork()
        self._kept: Kept[Key, Outcome] = Kept(kept_bytes)

    def sight_of(self, owner: str) -> Sight:
        """What can be read of a request with the files of `owner`."""
        return self.sight if self._files is None else replace(self.sight, owner=owner)

    async def read(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue with text and images in the place of its attachments.

        Raises `InvalidRequest` for one of the newest message that cannot be read, and `Overloaded`.
        """
        if not dialogue.attachments:
            return dialogue
        outcomes = await self.outcomes(wanted(dialogue, self.sight, {}))
        return await asyncio.to_thread(without_attachments, dialogue, self.sight, outcomes)

    async def outcomes(self, missing: Mapping[Key, Wanted]) -> dict[Key, Outcome]:
        """The outcomes of reading these, from memory where they are kept. Raises `Overloaded`.

        Those for which the time of a request is not enough are unreadable; the next request continues with them.
        """
        found = {
            key: outcome
            for key, item in missing.items()
            if item.file is None and (outcome := self._kept.get(key)) and not outcome.outdated
        }
        seconds = self.sight.limits.attachment_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                for key in [key for key in missing if key not in found]:  # in turn: one request does not take all workers
                    item = missing[key]
                    found[key] = await self._of_file(item) if item.file else await self._result(key, partial(self._read, item))
        except TimeoutError:
            if not limit.expired():
                raise
        late = Outcome(unreadable=f"Reading the attachments of a request takes more than {seconds:g} s (attachment_seconds).")
        return {key: found.get(key, late) for key in missing}

    def recent(self) -> dict[Key, Outcome]:
        """The newest outcomes, as far as their text is not too long together."""
        found: dict[Key, Outcome] = {}
        left = _RECENT_CHARACTERS
        for key, outcome in islice(self._kept.newest(), _RECENT):
            left -= outcome.characters
            if left < 0:
                break
            if not outcome.outdated:
                found[key] = outcome
        return found

    def warm(self) -> None:
        """Start a worker before the first image, if images are read at all."""
        if self.sight.images:
            self._pool.warm()

    async def close(self) -> None:
        """End the workers of this event loop."""
        await self._pool.close()
        await self._pdfs.close()

    async def _result(self, key: Key, read: Callable[[], Coroutine[Any, Any, Outcome]]) -> Outcome:
        outcome = await self._running.result(key, read)
        self._kept.put(key, outcome, outcome.size)
        return outcome

    async def _of_file(self, item: Wanted) -> Outcome:
        """Read a file. What is kept of it is found by the digest of its content, so that nothing of a deleted one is."""
        assert self._files is not None
        assert item.file is not None
        try:
            file = await self._files.find(*item.file)
            if file.size > (most := self.sight.limits.attachment_bytes):
                return Outcome(unreadable=f"{item.kind.value} exceeds {most:,} bytes (attachment_bytes).")
            chunks = await self._files.read(file)
        except UnknownObject as error:
            return Outcome(unreadable=error.message)
        key = f"{item.kind.value} of file {file.digest}"
        if (outcome := self._kept.get(key)) and not outcome.outdated:
            return outcome
        return await self._result(key, partial(self._read_chunks, item, chunks))

    async def _read_chunks(self, item: Wanted, chunks: AsyncIterator[bytes]) -> Outcome:
        data = b"".join([chunk async for chunk in chunks])
        return await self._read(
            replace(item, data=data, problem="" if data else f"Could not process {item.kind.value}: it is empty.")
        )

    async def _read(self, item: Wanted) -> Outcome:
        if item.problem:
            return Outcome(unreadable=item.problem)
        try:
            outcome = await self._decoded(item.kind, item.data or await self._fetched(item.url))
            return await self._descriptions.in_place_of(outcome) if self._descriptions else outcome
        except Unfetchable as error:
            return Outcome(unreadable=f"Could not fetch the URL: it {error}.", expires=soon())
        except TooExpensive as error:  # the machine may have been busy
            return Outcome(unreadable=f"Could not process {item.kind.value}: it {error}.", expires=later())
        except UnreadableImage as error:
            return Outcome(unreadable=f"Could not process {item.kind.value}: it {error}.")
        except UnreadablePdf as error:
            return Outcome(unreadable=str(error))

    async def _fetched(self, url: str) -> bytes:
        assert self._fetcher is not None
        return (await self._fetcher.fetch(url)).data

    async def _decoded(self, kind: AttachmentKind, data: bytes) -> Outcome:
        match kind_of(data):
            case DataKind.PDF:
                return _document(await self._pdfs.read(data, sees=self.sight.images))
            case DataKind.TEXT if kind is AttachmentKind.DOCUMENT:
                return Outcome((Text(data.decode()),))
            case _:
                return _picture(await self._pool.run(decoded, data))


def _picture(made: Decoded) -> Outcome:
    image = Image(made.data, made.media_type, sha256(made.data).hexdigest())
    if made.first_of_several:
        notes = ("reduced: an image of several frames or pages, to the first",)
        return Outcome((image, Text(FIRST_FRAME)), notes, scaled_down=made.scaled_down)
    return Outcome((image,), scaled_down=made.scaled_down)


def _document(pdf: Pdf) -> Outcome:
    notes = (
        (f"omitted: {pdf.omitted} page{'s' * (pdf.omitted > 1)} of a PDF that the model cannot read",) if pdf.omitted else ()
    )
    return Outcome(pdf.parts, notes, pages=pdf.pages)
