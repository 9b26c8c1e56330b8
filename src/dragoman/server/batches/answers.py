"""Answers single requests of batches, by the endpoints that answer the same requests of clients."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request

from dragoman.errors import (
    RESPONSES,
    DragomanError,
    EngineFailed,
    EngineRefused,
    EngineUnavailable,
    Overloaded,
    ShuttingDown,
    for_client,
)
from dragoman.observability import Record, log_request
from dragoman.observability.metrics import Metrics
from dragoman.server.endpoints.base import GeneratingEndpoint
from dragoman.server.models.admission import Gaps
from dragoman.server.models.served_model import ServedModel
from dragoman.storage.batches.rows import State, StoredBatch

_TEMPORARY: Final = (EngineUnavailable, Overloaded)
"""Errors after which a request is tried again later."""
_TRIES: Final = 3
"""How often a request is tried at once if the engine fails: it may have died of another one."""
_encode = msgspec.json.Encoder().encode

GapsOf = Callable[[ServedModel], Gaps]


class ResultFormat(Protocol):
    """What an API makes of the answers to the requests of a batch."""

    def check(self, body: bytes) -> None:
        """Raise `InvalidRequest` for a field that a request of a batch cannot have."""

    def succeeded(self, answer: Any, request_id: str) -> Struct:
        """Return the result of a request that was answered."""

    def errored(self, error: DragomanError, request_id: str) -> Struct:
        """Return the result of a request that failed."""


@dataclass(frozen=True, slots=True)
class BatchEndpoint:
    """An endpoint that batches can name, and the format of its results."""

    endpoint: GeneratingEndpoint[Any]
    results: ResultFormat


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request, as JSON."""

    state: State
    result: bytes


class BatchAnswers:
    """Answers requests; `endpoints` are those that batches can name, by their paths."""

    def __init__(self, endpoints: Mapping[str, BatchEndpoint], metrics: Metrics) -> None:
        self._endpoints = endpoints
        self._metrics = metrics

    async def answer(self, batch: StoredBatch, body: bytes, model: str, gaps: GapsOf) -> Answer | None:
        """Return the answer to one request; None if it must be tried again later. Raises `ShuttingDown`.

        `model` is the id of the model that the request is for, empty for one that there is not.
        """
        record = Record(f"req_{secrets.token_hex(12)}", "POST", batch.endpoint, client=batch.id, key=batch.owner)
        record.endpoint, record.body_bytes = f"{batch.endpoint} (batch)", len(body)
        with self._metrics.open(record):
            answer = await self._answer(batch, body, model, gaps, record)
        if answer is not None:
            entry = record.entry()
            self._metrics.count(entry)
            log_request(entry)
        return answer

    async def _answer(self, batch: StoredBatch, body: bytes, model: str, gaps: GapsOf, record: Record) -> Answer | None:
        found = self._endpoints[batch.endpoint]
        try:
            found.results.check(body)
            answer = await _tried(partial(found.endpoint.answer_in_gap, _request(batch, record), body, model, gaps))
        except _TEMPORARY:
            return None
        except ShuttingDown:
            raise
        except Exception as raised:
            record.fail(raised)
            error = for_client(raised)
            record.status = RESPONSES[type(error)].status
            return Answer(State.ERRORED, _encode(found.results.errored(error, record.request_id)))
        record.status = HTTPStatus.OK
        return Answer(State.SUCCEEDED, _encode(found.results.succeeded(answer, record.request_id)))


async def _tried(answering: Callable[[], Awaitable[Struct]]) -> Struct:
    """Return the answer, if need be that of another try. Raises what the last try raises."""
    for _ in range(_TRIES - 1):
        try:
            return await answering()
        except EngineRefused:
            raise
        except EngineFailed:
            continue
    return await answering()


def _request(batch: StoredBatch, record: Record) -> Request:
    """Return the request as a client would have sent it: with the headers of the request that made the batch."""
    headers: Mapping[str, str] = msgspec.json.decode(batch.details).get("headers", {})
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": batch.endpoint, "query_string": b"", "headers": fields}
    return Request({**scope, "state": {"record": record}})
