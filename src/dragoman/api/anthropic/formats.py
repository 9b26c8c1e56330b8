"""The Messages API as an API format."""

from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.events import Event, Ping, frame
from dragoman.api.anthropic.fold import fold
from dragoman.api.format import ApiFormat

MESSAGES: ApiFormat[Event] = ApiFormat(
    frame=frame,
    fold=fold,
    error_body=ErrorBody.of,
    error_frame=lambda error, request_id: frame(ErrorBody.of(error, request_id)),
    ping=frame(Ping()),
)
