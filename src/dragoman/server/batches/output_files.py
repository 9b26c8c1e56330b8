"""The files with the results of OpenAI's batches."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.api.openai.batches import Details, OutputError, OutputLine
from dragoman.storage.batches.rows import MESSAGES, Result, State, StoredBatch
from dragoman.storage.batches.store import BatchStore
from dragoman.storage.files import FileStore, NewFile

OPENAI_PREFIX: Final = "batch_"
"""How the ids of OpenAI's batches begin."""
_MIME_TYPE: Final = "application/jsonl"
_ERRORS: Final = {
    State.CANCELED: OutputError("batch_cancelled", "This request was not answered before the batch was cancelled."),
    State.EXPIRED: OutputError("batch_expired", "This request was not answered before the batch expired."),
}
_encode = msgspec.json.Encoder().encode
_details = msgspec.json.Decoder(Details).decode


class OutputFiles:
    """Writes the results of batches to files when they end."""

    def __init__(self, store: BatchStore, files: FileStore) -> None:
        self._store = store
        self._files = files

    async def write(self, batch: StoredBatch) -> bytes:
        """Write the files of a batch, and return its details with their ids. Raises `StorageFailed`."""
        if batch.endpoint == MESSAGES:
            return batch.details
        details, counts = _details(batch.details), await self._store.counts(batch.id)
        answered = counts.get(State.SUCCEEDED, 0)
        output = await self._file(batch, details, "output", succeeded=True) if answered else None
        errors = await self._file(batch, details, "errors", succeeded=False) if sum(counts.values()) > answered else None
        return _encode(replace(details, output_file_id=output, error_file_id=errors))

    async def _file(self, batch: StoredBatch, details: Details, kind: str, *, succeeded: bool) -> str:
        name, identifier = f"{batch.id}_{kind}.jsonl", f"file_{batch.id.removeprefix(OPENAI_PREFIX)}_{kind}"
        new = NewFile(batch.owner, name, _MIME_TYPE, "batch_output", details.output_seconds, downloadable=True, id=identifier)
        return (await self._files.add(new, self._lines(batch, succeeded=succeeded))).id

    async def _lines(self, batch: StoredBatch, *, succeeded: bool) -> AsyncIterator[bytes]:
        async for results in self._store.all_results(batch):
            yield b"".join(_line(batch, result) for result in results if (result.state is State.SUCCEEDED) is succeeded)


def _line(batch: StoredBatch, result: Result) -> bytes:
    response = None if result.result is None else Raw(result.result)
    line = OutputLine(f"batch_req_{batch.id}_{result.number}", result.custom_id, response, _ERRORS.get(result.state))
    return _encode(line) + b"\n"
