"""Batches as OpenAI's API describes them, the requests in their input files, and the lines of their output files."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct
from pydantic import Field

from dragoman.api.base import WireModel
from dragoman.api.openai.errors import ErrorBody
from dragoman.errors import RESPONSES, DragomanError, InvalidRequest

ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
MOST_REQUESTS: Final = 50_000


class ExpiresAfter(WireModel):
    """How long after its creation a file expires, in seconds."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class BatchRequest(WireModel):
    """The request for a batch."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchError(Struct, frozen=True):
    """An error in the input file."""

    message: str
    code: str = "invalid_input_file"
    line: int | None = None
    param: str | None = None


class Details(Struct, frozen=True):
    """What is kept of a batch besides its requests. `output_seconds` is how long its output files are kept, None: for ever."""

    input_file_id: str
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None
    errors: Sequence[BatchError] = ()
    output_seconds: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None


class Errors(Struct, frozen=True, tag_field="object", tag="list"):
    """The errors of a batch that failed."""

    data: Sequence[BatchError]


class RequestCounts(Struct, frozen=True):
    """The number of requests. Until a batch has ended, all that were answered are `completed`."""

    total: int
    completed: int
    failed: int


class Batch(Struct, frozen=True, tag_field="object", tag="batch"):
    """A batch. Times are in seconds since the epoch, null if they have not come."""

    id: str
    endpoint: str
    errors: Errors | None
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int
    expires_at: int
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None
    finalizing_at: None = None


class BatchList(Struct, frozen=True, tag_field="object", tag="list"):
    """A page of the list."""

    data: Sequence[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OutputResponse(Struct, frozen=True):
    """The response to a request of a batch."""

    status_code: int
    request_id: str
    body: Any


class OutputError(Struct, frozen=True):
    """Why a request of a batch was not answered."""

    code: str
    message: str


class OutputLine(Struct, frozen=True):
    """A line of an output file; `response` is JSON."""

    id: str
    custom_id: str
    response: Raw | None
    error: OutputError | None


class _Line(Struct, frozen=True):
    custom_id: str
    url: str
    body: Raw
    method: str = "POST"


class _Body(Struct, frozen=True):
    stream: Any = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_body = msgspec.json.Decoder(_Body).decode


def split_lines(endpoint: str, content: Any) -> Sequence[tuple[str, Raw]]:
    """The ids and bodies of the requests in an input file, which is any buffer. Raises `InvalidRequest` at the line."""
    found: dict[str, Raw] = {}
    for number, line in enumerate(bytes(content).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            read = _decode_line(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest.at(f"line {number}", str(error).partition(" - at ")[0]) from None
        if read.url != endpoint or read.method != "POST":
            raise InvalidRequest.at(f"line {number}", f"it should be a POST to {endpoint}, the endpoint of the batch")
        if read.custom_id in found:
            raise InvalidRequest.at(f"line {number}", f"custom_id {read.custom_id[:80]} is used twice: it must be unique")
        if len(found) >= MOST_REQUESTS:
            raise InvalidRequest.at(f"line {number}", f"a batch has at most {MOST_REQUESTS} requests")
        found[read.custom_id] = read.body
    if not found:
        raise InvalidRequest("the input file has no requests")
    return list(found.items())


class OpenAIResults:
    """The results of the requests of a batch."""

    def check(self, body: bytes) -> None:
        """Raise `InvalidRequest` for a request that is to be streamed."""
        try:
            streams = _decode_body(body).stream is True
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # reading it says what is wrong
        if streams:
            raise InvalidRequest.at("stream", "true is not allowed in a request of a batch")

    def succeeded(self, answer: Any, request_id: str) -> OutputResponse:
        """The response of a request that was answered."""
        return OutputResponse(200, request_id, answer)

    def errored(self, error: DragomanError, request_id: str) -> OutputResponse:
        """The response of a request that failed."""
        return OutputResponse(RESPONSES[type(error)].status, request_id, ErrorBody.of(error, request_id))
