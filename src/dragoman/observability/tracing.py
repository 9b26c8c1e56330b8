"""Traces of requests: a request joins the trace of its client, and the engine's spans join that of the request.

Without `--traces` no span is made, and the headers of the client's trace are passed on to the engine as they are.
"""

import re
from collections.abc import Mapping
from typing import Final, Protocol

from dragoman.observability.log_entry import RequestLogEntry
from dragoman.observability.record import Record

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")


class Trace(Protocol):
    """The part of a trace that is one request."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by which others join the trace."""

    def end(self, record: Record, entry: RequestLogEntry) -> None:
        """End the request."""


class Tracing(Protocol):
    """Begins the traces of requests."""

    def begin(self, record: Record, headers: Mapping[str, str]) -> Trace:
        """Begin a request, which arrived with these headers."""

    def close(self) -> None:
        """Export what is not exported yet; may take seconds."""


class PassedOn:
    """A trace of the client that is only passed on. `headers` are those of a request; invalid ones are left out."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        parent, state = headers.get(TRACEPARENT, ""), headers.get(TRACESTATE, "")
        self.headers: Mapping[str, str] = {}
        if _PARENT.fullmatch(parent):
            self.headers = {TRACEPARENT: parent, **({TRACESTATE: state} if _STATE.fullmatch(state) else {})}

    def end(self, record: Record, entry: RequestLogEntry) -> None:
        """Do nothing."""


class PassingOn:
    """Makes no spans."""

    def begin(self, _: Record, headers: Mapping[str, str]) -> PassedOn:
        """Begin a request, which arrived with these headers."""
        return PassedOn(headers)

    def close(self) -> None:
        """Do nothing."""
