"""The record of a request, which is filled while the request is handled, and logged when it is over.

The middleware records the client, the endpoint the request, and the stream the times. Counts stay in the generation and are
read at the end, so that nothing is copied, and an interrupted generation is logged like a complete one.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dragoman.errors import RESPONSES, DragomanError, Unexpected
from dragoman.observability.details import Details
from dragoman.observability.log_entry import CLIENT_LEFT, FAILED, RequestLogEntry, Seconds, Tokens, Volume
from dragoman.parts import Ending, Part, Prefill, TokenCounts
from dragoman.parts.server_tools import ServerCallStart, ServerResult

_LOG = logging.getLogger(__name__)
_NOTICEABLE = 0.005
"""Seconds. A loaded model takes no time."""
_RECORDED = frozenset({Ending, ServerCallStart, ServerResult})
"""Parts that are recorded whenever they come; of the others only those until the first output."""


class Work(Protocol):
    """The properties of a generation that a record reads at the end."""

    @property
    def counts(self) -> TokenCounts:
        """The current token counts."""

    @property
    def calls(self) -> int:
        """The number of complete calls in the answer."""

    @property
    def repairs(self) -> Sequence[str]:
        """Names of the repairs that the output needed."""

    @property
    def tool_seconds(self) -> float:
        """The seconds in which the answer waited for tools of the server."""

    @property
    def violations(self) -> Sequence[str]:
        """The violated constraints of the answer."""


@dataclass(slots=True)
class ToolRun:
    """One run of a tool of the server. Times are as in the record; `end` is None while it runs."""

    name: str
    id: str
    begin: float
    end: float | None = None


@dataclass(slots=True, eq=False)
class Record:
    """One request so far. Times are seconds since its arrival, by the monotonic clock; None for what has not happened.

    `served` is the id of the model that answers. `asked`: the name of the model is known; `loaded`: the request has its model;
    `ready`: the prompt is built, and the request waits for a slot; `started`: it has one; `read`: the prefill is complete;
    `first`: the first part with output; `ended`: the last part. `stop` is the time from the client's disconnect to the end of
    its work. `began` is the time of arrival; `prefilled` tokens of the prompt are in the cache. `details` hold the content, if
    that is kept. `trace` are the headers by which the engine joins the trace of the request. `on_change` is called when the
    request starts to wait or to run.
    """

    request_id: str
    method: str
    path: str
    endpoint: str = ""
    key: str = ""
    client: str = ""
    session: str = ""
    agent: str = ""
    model: str = ""
    served: str = ""
    stream: bool = False
    status: int = 0
    body_bytes: int = 0
    content: Mapping[str, Volume] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Details | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
    tool_runs: list[ToolRun] = field(default_factory=list)
    unknown: Sequence[str] = ()
    diverged: str = ""
    work: Work | None = None
    prefilled: int = 0
    asked: float | None = None
    loaded: float | None = None
    ready: float | None = None
    started: float | None = None
    read: float | None = None
    first: float | None = None
    ended: float | None = None
    stop: float | None = None
    ending: str = ""
    error: str = ""
    message: str = ""
    clock: Callable[[], float] = time.monotonic
    on_change: Callable[[], None] = lambda: None
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def age(self) -> float:
        """Seconds since the request arrived."""
        return self.clock() - self.began

    @property
    def waiting(self) -> bool:
        """Whether the request waits for a slot."""
        return self.ready is not None and self.started is None

    @property
    def running(self) -> bool:
        """Whether the request holds a slot, which it does almost to its end."""
        return self.started is not None

    @property
    def decoded(self) -> tuple[int, float]:
        """The tokens of a complete answer, and the seconds of decoding them; zeros without one."""
        begun = self.read if self.read is not None else self.first
        if self.work is None or begun is None or self.ended is None:
            return 0, 0.0
        return self.work.counts.output, self.ended - begun - self.work.tool_seconds

    def ask(self, model: str, *, stream: bool) -> None:
        """Record the named model and the stream flag; from now on the request waits for its model."""
        self.model, self.stream, self.asked = model, stream, self.age

    def use(self, served: str) -> None:
        """Record that the request has its model, the one with the id `served`."""
        self.served, self.loaded = served, self.age

    def wait(self, work: Work) -> None:
        """Record that the prompt is built, and `work` waits for a slot."""
        self.work, self.ready = work, self.age
        self.on_change()

    def start(self) -> None:
        """Record that the request has a slot, the first one if it has several choices."""
        if self.started is None:
            self.started = self.age
            self.on_change()

    def add_part(self, part: Part) -> None:
        """Record the times of the complete prefill, the first output, the runs of tools and the ending."""
        if type(part) is ServerCallStart:
            self.tool_runs.append(ToolRun(part.name, part.id, self.age))
        elif type(part) is ServerResult:
            for run in self.tool_runs:
                run.end = self.age if run.id == part.call_id else run.end
        if type(part) is Ending:
            self.ending, self.ended = part.reason.value, self.age
        elif self.first is None:
            if type(part) is not Prefill:
                self.first = self.age
            else:
                self.prefilled = part.done
                if part.done >= part.total:
                    self.read = self.age

    def observer(self, choice: int) -> Callable[[Part], None]:
        """Return the function that is called with each part of a choice; it keeps the part, if content is kept."""
        if self.details is None:
            return self.add_part
        kept = self.details.answers[choice]
        keep_part, keep_time, clock = kept.parts.append, kept.times.append, self.clock

        def observe(part: Part) -> None:
            if self.first is None or type(part) in _RECORDED:
                self.add_part(part)
            keep_part(part)
            keep_time(clock())

        return observe

    def fail(self, error: Exception) -> None:
        """Record a failure. A bug is logged with its traceback, here only."""
        self.ending = FAILED
        if isinstance(error, DragomanError):
            self.error, self.message = RESPONSES[type(error)].type, error.message
        else:
            self.error, self.message = RESPONSES[Unexpected].type, f"{type(error).__name__}: {error}"
            _LOG.error("%s failed", self.request_id, exc_info=error)

    def leave(self, stop: float) -> None:
        """Record that the client disconnected, and that its work ended `stop` seconds later."""
        self.ending, self.stop = CLIENT_LEFT, stop

    def entry(self) -> RequestLogEntry:
        """Return the log entry of the request."""
        work = self.work if self.started is not None else None
        seconds = self._seconds(self.age, work.tool_seconds if work else 0.0)
        tokens = _tokens(work.counts) if work else None
        return RequestLogEntry(
            request_id=self.request_id,
            method=self.method,
            path=self.path,
            endpoint=self.endpoint,
            key=self.key,
            status=self.status,
            seconds=seconds,
            client=self.client,
            session=self.session,
            agent=self.agent,
            model=self.model,
            served=self.served if self.served != self.model else "",
            stream=self.stream,
            body_bytes=self.body_bytes,
            content=self.content,
            tokens=tokens,
            tokens_per_second=round(tokens.output / seconds.decode, 2) if tokens and tokens.output and seconds.decode else None,
            diverged=self.diverged,
            calls=work.calls if work else 0,
            ending=self.ending,
            error=self.error,
            message=self.message,
            repairs=tuple(work.repairs) if work else (),
            broken=tuple(work.violations) if work else (),
            notes=tuple(self.notes),
            unknown=tuple(self.unknown),
        )

    def _seconds(self, total: float, tools: float) -> Seconds:
        """Return the durations of the phases; one that was cut lasts until the end.

        Decoding begins with the end of the prefill, since the first output may be hidden, and is without the `tools`.
        """
        end = total if self.ended is None else self.ended
        read = self.read if self.read is not None else self.first
        return Seconds(
            total=round(total, 6),
            load=self._load(end),
            prepare=None if self.ready is None else round(self.ready, 6),
            queue=_between(self.ready, self.started, end),
            prefill=_between(self.started, read, end),
            decode=_between(read, end - tools, end),
            tools=round(tools, 6) if tools else None,
            first_token=None if self.first is None else round(self.first, 6),
            stop=None if self.stop is None else round(self.stop, 6),
        )

    def _load(self, end: float) -> float | None:
        """Return how long the request waited for its model; None if that was loaded."""
        waited = _between(self.asked, self.loaded, end)
        return waited if waited is not None and waited >= _NOTICEABLE else None


def _between(begin: float | None, until: float | None, end: float) -> float | None:
    return None if begin is None else round((end if until is None else until) - begin, 6)


def _tokens(counts: TokenCounts) -> Tokens:
    return Tokens(
        counts.prompt,
        counts.prompt - counts.cached,
        counts.cached,
        counts.output,
        counts.thinking,
        counts.drafted,
        counts.accepted,
    )
