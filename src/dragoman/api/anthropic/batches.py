"""Message batches as the API describes them, and the requests and results of one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.message import MessageOut
from dragoman.errors import DragomanError, InvalidRequest

MOST_REQUESTS: Final = 100_000
_CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class RequestCounts(Struct, frozen=True):
    """The number of requests in each state; all are `processing` until the batch has ended (BAT-4)."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(Struct, frozen=True, tag="message_batch"):
    """A batch (BAT-4). Times are in RFC 3339, null if they have not come."""

    id: str
    processing_status: str
    request_counts: RequestCounts
    created_at: str
    expires_at: str
    ended_at: str | None
    cancel_initiated_at: str | None
    archived_at: str | None
    results_url: str | None


class BatchPage(Struct, frozen=True):
    """A page of the list."""

    data: Sequence[MessageBatch]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedBatch(Struct, frozen=True, tag="message_batch_deleted"):
    """The response to a deletion."""

    id: str


class Succeeded(Struct, frozen=True, tag="succeeded"):
    """The result of a request that was answered."""

    message: MessageOut


class Errored(Struct, frozen=True, tag="errored"):
    """The result of a request that failed, with the body of an error response (BAT-5)."""

    error: ErrorBody


class Canceled(Struct, frozen=True, tag="canceled"):
    """The result of a request that was not answered before the batch was cancelled."""


class Expired(Struct, frozen=True, tag="expired"):
    """The result of a request that was not answered in time."""


class ResultLine(Struct, frozen=True):
    """A line of the results; `result` is JSON."""

    custom_id: str
    result: Raw


class _Batch(Struct, frozen=True):
    requests: Sequence[Raw]


class _Request(Struct, frozen=True):
    custom_id: str
    params: Raw


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_request = msgspec.json.Decoder(_Request).decode


def split(body: Any) -> Sequence[tuple[str, Raw]]:
    """The ids and bodies of the requests in the body of a batch, which is any buffer. Raises `InvalidRequest` (BAT-2)."""
    try:
        requests = _decode_batch(body).requests
    except msgspec.ValidationError as error:
        raise InvalidRequest.at("requests", _reason(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}") from None
    if not requests:
        raise InvalidRequest.at("requests", "List should have at least 1 item after validation, not 0")
    if len(requests) > MOST_REQUESTS:
        raise InvalidRequest.at("requests", f"List should have at most {MOST_REQUESTS} items, not {len(requests)}")
    found: dict[str, Raw] = {}
    for index, raw in enumerate(requests):
        request = _request(raw, index)
        if request.custom_id in found:
            raise InvalidRequest.at(f"requests.{index}.custom_id", f"`{request.custom_id}` is used twice: it must be unique")
        found[request.custom_id] = request.params
    return list(found.items())


def _request(raw: Raw, index: int) -> _Request:
    try:
        request = _decode_request(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest.at(f"requests.{index}", _reason(error)) from None
    if not _CUSTOM_ID.fullmatch(request.custom_id):
        raise InvalidRequest.at(f"requests.{index}.custom_id", f"String should match pattern '^{_CUSTOM_ID.pattern}$'")
    if bytes(memoryview(request.params)[:1]) != b"{":
        raise InvalidRequest.at(f"requests.{index}.params", "Input should be a valid dictionary")
    return request


def _reason(error: msgspec.ValidationError) -> str:
    return str(error).partition(" - at ")[0]


class _Params(Struct, frozen=True):
    stream: Any = None
    speed: Any = None
    thread: Any = None
    max_tokens: Any = None


_decode_params = msgspec.json.Decoder(_Params).decode


class MessageResults:
    """The results of the requests of a batch."""

    def check(self, body: bytes) -> None:
        """Raise `InvalidRequest` for a field that a request of a batch cannot have (BAT-3)."""
        try:
            params = _decode_params(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # reading it says what is wrong
        refused: Mapping[str, bool] = {
            "stream": params.stream is True,
            "speed": params.speed is not None,
            "thread": params.thread is not None,
            "max_tokens": params.max_tokens == 0 and params.max_tokens is not False,
        }
        for name, present in refused.items():
            if present:
                value = msgspec.json.encode(getattr(params, name)).decode()[:80]
                raise InvalidRequest.at(name, f"{value} is not allowed in a request of a batch")

    def succeeded(self, answer: MessageOut, _: str) -> Succeeded:
        """The result with a message, whose usage says that it comes from a batch (BAT-7)."""
        return Succeeded(replace(answer, usage=replace(answer.usage, service_tier="batch")))

    def errored(self, error: DragomanError, request_id: str) -> Errored:
        """The result with the body of an error."""
        return Errored(ErrorBody.of(error, request_id))
