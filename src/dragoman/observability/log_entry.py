"""What is told of one request: a value with named fields, the names that docs/observability.md explains.

The log's two formats and the counters of `/metrics` are made of it, and of nothing else.
"""

from collections.abc import Mapping

from msgspec import Struct, field

CLIENT_LEFT = "client_left"
"""The ending of a request that nobody waited for any more."""
FAILED = "error"
"""The ending of a request that was refused or failed."""


class Volume(Struct, frozen=True):
    """How much of one kind a request holds. Characters of text; of what is no text, of its JSON."""

    count: int
    characters: int

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(self.count + other.count, self.characters + other.characters)


class Tokens(Struct, frozen=True):
    """Tokens of a turn. `new` and `cached` add up to `prompt`; `thinking` is a part of `output`."""

    prompt: int
    new: int
    cached: int
    output: int
    thinking: int


class Seconds(Struct, frozen=True, omit_defaults=True):
    """Where the time went; None for what did not happen.

    `prepare` is up to the finished prompt, `queue` the wait for a slot, `prefill` the reading of the prompt, `decode` the rest;
    the last of them that there is may have been cut.
    `first_token` counts from the request's arrival, `stop` from the moment the client left to the moment its work had ended.
    """

    total: float
    prepare: float | None = None
    queue: float | None = None
    prefill: float | None = None
    decode: float | None = None
    first_token: float | None = None
    stop: float | None = None


class RequestLogEntry(Struct, frozen=True, omit_defaults=True):
    """One request.

    `endpoint` is the route, empty for a path that is none. `ending` is the `stop_reason`, `client_left` or `error`; `error` is
    the Anthropic type, `message` what the client was told, or for a defect what it was not. `content` is by kind of block.
    """

    request_id: str
    method: str
    path: str
    endpoint: str
    status: int
    seconds: Seconds
    client: str = ""
    session: str = ""
    agent: str = ""
    model: str = ""
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
