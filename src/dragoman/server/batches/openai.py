"""`/v1/batches`: OpenAI's batches, whose requests come in a file and whose results go to files."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dragoman.api.base import parse
from dragoman.api.openai.batches import (
    ENDPOINTS,
    Batch,
    BatchError,
    BatchList,
    BatchRequest,
    Details,
    Errors,
    RequestCounts,
    split_lines,
)
from dragoman.errors import InvalidRequest, UnknownObject
from dragoman.server.access.auth import owner_of
from dragoman.server.batches.intake import taken_in
from dragoman.server.batches.output_files import OPENAI_PREFIX
from dragoman.server.batches.runner import BatchRunner
from dragoman.server.files.openai import BATCH
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.transport.body import read_json_body
from dragoman.server.transport.paging import ends_of, openai_page_of
from dragoman.server.transport.respond import json_response
from dragoman.storage.batches.rows import MESSAGES, StoredBatch, new_batch
from dragoman.storage.batches.store import BatchStore
from dragoman.storage.files import StoredFile

_PATH: Final = "/v1/batches"
_PAGE, _LARGEST_PAGE = 20, 100
_encode = msgspec.json.Encoder().encode
_details = msgspec.json.Decoder(Details).decode


class OpenAIBatches:
    """The handlers of the paths of batches."""

    def __init__(self, store: BatchStore, runner: BatchRunner, models: ModelRegistry) -> None:
        self._store = store
        self._runner = runner
        self._models = models
        self._files, self._bodies = models.files, models.bodies

    @property
    def routes(self) -> Sequence[Route]:
        """The routes."""
        return [
            Route(_PATH, self.create, methods=["POST"]),
            Route(_PATH, self.list, methods=["GET"]),
            Route(f"{_PATH}/{{batch}}", self.retrieve, methods=["GET"]),
            Route(f"{_PATH}/{{batch}}/cancel", self.cancel, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Keep a batch; one whose input file is wrong has failed at once. Raises `InvalidRequest`, `UnknownObject`."""
        with self._bodies.share() as share:
            wanted = parse(BatchRequest, await read_json_body(request, share))
        if wanted.endpoint not in ENDPOINTS:
            raise InvalidRequest.at("endpoint", f"Input should be one of {', '.join(ENDPOINTS)}")
        file = await self._files.find(wanted.input_file_id, owner_of(request))
        if file.purpose != BATCH:
            raise InvalidRequest.at("input_file_id", f"the purpose of {file.id} is '{file.purpose}', not '{BATCH}'")
        batch = await self._add(wanted, file)
        self._runner.wake()
        return json_response((await self._described(batch))[0])

    async def _add(self, wanted: BatchRequest, file: StoredFile) -> StoredBatch:
        seconds = wanted.output_expires_after.seconds if wanted.output_expires_after else None
        details = Details(file.id, wanted.completion_window, wanted.metadata, output_seconds=seconds)
        make = partial(new_batch, file.owner, wanted.endpoint, prefix=OPENAI_PREFIX)
        try:
            async with taken_in(await self._files.read(file), partial(split_lines, wanted.endpoint), self._models) as requests:
                return await self._store.add(make(_encode(details)), requests)
        except InvalidRequest as error:
            line = int(error.path.removeprefix("line ")) if error.path else None
            return await self._store.add(make(_encode(replace(details, errors=[BatchError(error.message, line=line)]))), ())

    async def list(self, request: Request) -> Response:
        """Answer with a page of the batches. Raises `InvalidRequest`."""
        page = openai_page_of(request.query_params, _PAGE, _LARGEST_PAGE)
        batches, more = await self._store.page(owner_of(request), page, messages=False)
        described = await self._described(*batches)
        first, last = ends_of(described)
        return json_response(BatchList(described, first, last, more))

    async def retrieve(self, request: Request) -> Response:
        """Answer with the state of a batch. Raises `UnknownObject`."""
        return json_response((await self._described(await self._find(request)))[0])

    async def cancel(self, request: Request) -> Response:
        """Begin no more requests of a batch. Raises `UnknownObject`."""
        batch = await self._store.cancel((await self._find(request)).id, owner_of(request))
        self._runner.wake()
        return json_response((await self._described(batch))[0])

    async def _find(self, request: Request) -> StoredBatch:
        batch = await self._store.find(str(request.path_params["batch"]), owner_of(request))
        if batch.endpoint == MESSAGES:
            raise UnknownObject(f"there is no batch {batch.id} here: it is one of the Messages API")
        return batch

    async def _described(self, *batches: StoredBatch) -> Sequence[Batch]:
        waiting = await self._store.waiting([batch.id for batch in batches if batch.ended is None])
        return [described(batch, waiting.get(batch.id, 0)) for batch in batches]


def described(batch: StoredBatch, waiting: int) -> Batch:
    """Return the description of a batch with so many requests that are not answered yet."""
    details = _details(batch.details)
    status = _status(batch, details)
    completed = batch.succeeded if batch.ended is not None else batch.total - waiting
    ended = None if batch.ended is None else int(batch.ended)
    return Batch(
        id=batch.id,
        endpoint=batch.endpoint,
        errors=Errors(details.errors) if details.errors else None,
        input_file_id=details.input_file_id,
        completion_window=details.completion_window,
        status=status,
        output_file_id=details.output_file_id,
        error_file_id=details.error_file_id,
        created_at=int(batch.created),
        in_progress_at=int(batch.created),
        expires_at=int(batch.expires),
        completed_at=ended if status == "completed" else None,
        failed_at=int(batch.created) if status == "failed" else None,
        expired_at=ended if status == "expired" else None,
        cancelling_at=None if batch.cancelled is None else int(batch.cancelled),
        cancelled_at=ended if status == "cancelled" else None,
        request_counts=RequestCounts(batch.total, completed, batch.errored + batch.canceled + batch.expired),
        metadata=details.metadata,
    )


def _status(batch: StoredBatch, details: Details) -> str:
    if details.errors:
        return "failed"
    if batch.ended is None:
        return "in_progress" if batch.cancelled is None else "cancelling"
    return "cancelled" if batch.cancelled is not None else "expired" if batch.expired else "completed"
