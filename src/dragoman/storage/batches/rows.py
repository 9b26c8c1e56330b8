"""Batches, their requests and their results, as they are kept."""

import secrets
import time
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

MESSAGES: Final = "/v1/messages"
"""The endpoint of the batches of the Messages API; all others are OpenAI's."""
BATCH_S: Final = 86_400.0
"""Seconds after which a batch expires (BAT-4)."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, endpoint TEXT NOT NULL, created DOUBLE PRECISION NOT NULL,
    expires DOUBLE PRECISION NOT NULL, ended DOUBLE PRECISION, cancelled DOUBLE PRECISION, archived DOUBLE PRECISION,
    total BIGINT NOT NULL DEFAULT 0, succeeded BIGINT NOT NULL DEFAULT 0, errored BIGINT NOT NULL DEFAULT 0,
    canceled BIGINT NOT NULL DEFAULT 0, expired BIGINT NOT NULL DEFAULT 0, details BYTEA NOT NULL, complete INTEGER NOT NULL,
    lease DOUBLE PRECISION NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS batches_listed ON batches (owner, created, id);
CREATE INDEX IF NOT EXISTS batches_running ON batches (created) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS batched_requests (
    batch TEXT NOT NULL, number BIGINT NOT NULL, place BIGINT NOT NULL, section BIGINT NOT NULL,
    model TEXT NOT NULL, custom_id TEXT NOT NULL, body BYTEA NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, holder TEXT, lease DOUBLE PRECISION NOT NULL DEFAULT 0, result BYTEA,
    PRIMARY KEY (batch, number)
);
CREATE INDEX IF NOT EXISTS batched_requests_free ON batched_requests (batch, model, section, place) WHERE state = 0;
CREATE INDEX IF NOT EXISTS batched_requests_held ON batched_requests (holder) WHERE holder IS NOT NULL;
CREATE INDEX IF NOT EXISTS batched_requests_worked_on ON batched_requests (batch, section, lease) WHERE holder IS NOT NULL;
"""


class State(IntEnum):
    """The state of a request of a batch."""

    PROCESSING = 0
    SUCCEEDED = 1
    ERRORED = 2
    CANCELED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch. Times are in seconds since the epoch. The counts are zero until it has ended, but `total`.

    `owner` is the name of the key of its request, `endpoint` the path that answers its requests. `details` is what its API
    needs besides, as JSON.
    """

    id: str
    owner: str
    endpoint: str
    created: float
    expires: float
    ended: float | None
    cancelled: float | None
    archived: float | None
    total: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    details: bytes


COLUMNS: Final = ", ".join(field.name for field in fields(StoredBatch))
"""The columns of a batch."""


def new_batch(owner: str, endpoint: str, details: bytes, prefix: str = "msgbatch_") -> StoredBatch:
    """Return a batch that is made now."""
    now = time.time()
    identifier = f"{prefix}{secrets.token_hex(12)}"
    return StoredBatch(identifier, owner, endpoint, now, now + BATCH_S, None, None, None, 0, 0, 0, 0, 0, details)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request of a new batch: its number in the batch, and its place in the order of work.

    Requests of a `section` share a beginning; in section 0 they do not. `model` is the id of the model that it is for, empty if
    the gateway that takes the batch in does not have the model.
    """

    number: int
    place: int
    custom_id: str
    body: bytes
    section: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request that a gateway holds; `holder` names the claim, which may hold others too."""

    batch: str
    number: int
    custom_id: str
    model: str
    holder: str
    section: int = -1


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a request: what its API makes of it, as JSON; None if it was not answered."""

    number: int
    custom_id: str
    state: State
    result: bytes | None
