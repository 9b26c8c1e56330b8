"""The log entry of a request, with the field names that docs/observability.md explains.

Both log formats and the counters of `/metrics` are made from it alone.
"""

from collections.abc import Mapping

from msgspec import Struct, field

CLIENT_LEFT = "client_left"
"""The ending of a request whose client disconnected."""
FAILED = "error"
"""The ending of a request that was refused or failed."""


class Volume(Struct, frozen=True):
    """The amount of one kind of content: number of parts, and characters of their text or JSON."""

    count: int
    characters: int

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(self.count + other.count, self.characters + other.characters)


class Tokens(Struct, frozen=True, omit_defaults=True):
    """Tokens of an answer. `new` and `cached` add up to `prompt`; `thinking` is a part of `output`.

    `accepted` of the `drafted` tokens are also a part of `output`; both are 0 if the answer was ended before the engine did.
    """

    prompt: int
    new: int
    cached: int
    output: int
    thinking: int
    drafted: int = 0
    accepted: int = 0


class Seconds(Struct, frozen=True, omit_defaults=True):
    """Durations of the phases of a request in seconds; None for a phase that did not happen.

    `load` is the wait for the model to be loaded, which is part of `prepare`. `prepare` ends with the finished prompt, `queue`
    is the wait for a slot, `prefill` the processing of the prompt, `tools` the time in which tools of the server ran, `decode`
    the rest; the last phase may have been cut short.
    `first_token` counts from the request's arrival, `stop` from the client's disconnect to the end of its work.
    """

    total: float
    load: float | None = None
    prepare: float | None = None
    queue: float | None = None
    prefill: float | None = None
    decode: float | None = None
    tools: float | None = None
    first_token: float | None = None
    stop: float | None = None


class RequestLogEntry(Struct, frozen=True, omit_defaults=True):
    """The log entry of one request.

    `endpoint` is the route, empty for an unknown path. `served` is the id of the model if `model` is another name. `key` is the
    name of the API key, if it has one. `ending` is the `stop_reason`, `client_left` or `error`; `error` is the Anthropic error
    type, `message` the client's error message, or for a bug the internal one. `content` is by kind of block.
    """

    request_id: str
    method: str
    path: str
    endpoint: str
    status: int
    seconds: Seconds
    key: str = ""
    client: str = ""
    session: str = ""
    agent: str = ""
    model: str = ""
    served: str = ""
    stream: bool = False
    body_bytes: int = 0
    content: Mapping[str, Volume] = field(default_factory=dict)
    tokens: Tokens | None = None
    tokens_per_second: float | None = None
    diverged: str = ""
    calls: int = 0
    ending: str = ""
    error: str = ""
    message: str = ""
    repairs: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
