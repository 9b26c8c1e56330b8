"""Takes batches in: a body goes to a file while it arrives, and a worker process splits it, so that it takes no memory here."""

import mmap
import tempfile
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request

from dragoman.api.batch_order import work_order
from dragoman.errors import InvalidRequest, UnknownModel
from dragoman.server.answering.preparation import LARGE_BODY
from dragoman.server.transport.body import json_chunks
from dragoman.storage.batches.rows import NewRequest
from dragoman.worker_pool import TooExpensive, WorkerPool

MOST_BYTES: Final = 256 * 1024 * 1024
"""The largest body of a batch (BAT-2)."""
_MOST_MODELS: Final = 100
"""Models that the requests of a batch may name: far more than any server has."""
_LONGEST_NAME: Final = 300
_SECONDS: Final = 60.0
_POOL: Final = WorkerPool(workers=1, seconds=_SECONDS, patience=_SECONDS, preload=())

Split = Callable[[Any], Sequence[tuple[str, Raw]]]
"""A module-level function that returns the ids and the bodies of the requests in a buffer. Raises `InvalidRequest`."""


class Models(Protocol):
    """The models of a server."""

    async def meant(self, name: str) -> str:
        """Return the id of the model that a client names. Raises `UnknownModel`, and as loading the model."""


class _Line(Struct, frozen=True, array_like=True):
    number: int
    place: int
    section: int
    model: str
    custom_id: str
    body: Raw


class _Named(Struct, frozen=True):
    """The field of a request, in all API formats, that names its model."""

    model: str = ""


_decode_named = msgspec.json.Decoder(_Named).decode
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


@asynccontextmanager
async def taken_in(chunks: AsyncIterator[bytes], split: Split, models: Models) -> AsyncIterator[Iterator[NewRequest]]:
    """Yield the requests of a batch, which are read from a file in the context.

    Raises `InvalidRequest`, as the chunks, and as loading a model if only that tells which model a name means.
    """
    with tempfile.TemporaryDirectory(prefix="dragoman-batch-") as folder:
        body, lines = Path(folder, "body"), Path(folder, "lines")
        file, size = await to_thread(body.open, "wb"), 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                await to_thread(file.write, chunk)
        finally:
            file.close()
        try:
            work = partial(_write_lines, str(body), str(lines), split)
            names = await (_POOL.run(work) if size > LARGE_BODY else to_thread(work))
        except TooExpensive as error:
            raise InvalidRequest(f"reading this batch {error}; make it smaller") from None
        meant = {name: await _meant(models, name) for name in names}
        yield _read_lines(lines, meant)


async def close() -> None:
    """End the worker of this event loop."""
    await _POOL.close()


async def _meant(models: Models, name: str) -> str:
    try:
        return await models.meant(name)
    except UnknownModel:  # the result of the request says so (BAT-3)
        return ""


def _write_lines(body: str, lines: str, split: Split) -> Sequence[str]:
    """Split a body, write its requests in their order with their places in the order of work, and return the models' names."""
    names: set[str] = set()
    with Path(body).open("rb") as file, Path(lines).open("wb") as out:
        if not file.seek(0, 2):
            raise InvalidRequest("The request body is empty")
        requests = split(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))  # closed with the last request
        positions = work_order(raw for _, raw in requests)
        for number, (custom_id, raw) in enumerate(requests):
            compact = msgspec.json.format(bytes(raw), indent=-1)
            model = _name_of(raw)
            names.add(model)
            if len(names) > _MOST_MODELS:
                raise InvalidRequest(f"the requests of a batch may name at most {_MOST_MODELS} models")
            out.write(_encode(_Line(number, *positions[number], model, custom_id, Raw(compact))) + b"\n")
    return list(names)


def _name_of(body: Raw) -> str:
    """Return the name of a request's model, empty if it is wrong."""
    try:
        return _decode_named(body).model[:_LONGEST_NAME]
    except msgspec.DecodeError:
        return ""


def _read_lines(lines: Path, meant: Mapping[str, str]) -> Iterator[NewRequest]:
    with lines.open("rb") as file:
        for line in file:
            read = _decode(line)
            yield NewRequest(read.number, read.place, read.custom_id, bytes(read.body), read.section, meant[read.model])


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Yield the JSON body of a request that makes a batch. Raises `InvalidRequest`, `RequestTooLarge`, `ClientGone`."""
    size = 0
    async for chunk in json_chunks(request, MOST_BYTES):
        size += len(chunk)
        yield chunk
    request.state.record.body_bytes = size
