"""The limits of requests and tokens per minute of one key, and the headers that report them (TRN-17).

Each limit is a token bucket: it holds what a minute allows, and is refilled evenly. What a request costs is known step by step,
so it is taken step by step: the request on its arrival, the length of its prompt before it waits for the engine, and at its end
the output, while cached tokens are returned. The last steps may overdraw a limit; later requests then wait longer.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from dragoman.errors import RateLimited
from dragoman.observability.log_entry import Tokens

_MINUTE: Final = 60.0
SPENDING: Final = "spending"
"""The key of a request's `Spending` in its state."""


class Kind(StrEnum):
    """What is limited. Input tokens are those of a prompt that were not cached; tokens are input and output together."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input-tokens"
    OUTPUT_TOKENS = "output-tokens"


_FIELDS: Final = ("limit", "remaining", "reset")
HEADERS: Final = tuple(f"anthropic-ratelimit-{kind}-{field}" for kind in Kind for field in _FIELDS)
"""The names of all headers."""


class Level(Protocol):
    """What is left of a limit, and since when: two numbers. It is negative if the limit is overdrawn."""

    def __getitem__(self, index: int, /) -> float:
        """Return one of the two."""

    def __setitem__(self, index: int, value: float, /) -> None:
        """Change one of the two."""


class Levels:
    """What is left of limits, in the memory of this process."""

    def lock(self) -> AbstractContextManager[None]:
        """Return the context in which levels may be read and changed. It cannot be entered twice."""
        return nullcontext()

    def level(self, owner: str, kind: Kind, limit: int, now: float) -> Level:
        """Return the level of a limit, which is full at first; the owner is the name of a key."""
        return [float(limit), now]


class _Bucket:
    """One limit and its level."""

    def __init__(self, limit: int, level: Level) -> None:
        self.limit = limit
        self._level = level

    def level(self, now: float) -> float:
        self._set(self._level[0] + (now - self._level[1]) * self.limit / _MINUTE, now)
        return self._level[0]

    def take(self, amount: int, now: float) -> None:
        self._set(self.level(now) - amount, now)

    def _set(self, level: float, now: float) -> None:
        self._level[0], self._level[1] = min(float(self.limit), level), now

    def seconds_until(self, level: float, now: float) -> float:
        return max(0.0, level - self.level(now)) * _MINUTE / self.limit


class RateLimits:
    """The limits of one key, as amounts per minute; a kind without a limit is not counted."""

    def __init__(
        self,
        limits: Mapping[Kind, int],
        clock: Callable[[], float] = time.monotonic,
        levels: Levels | None = None,
        owner: str = "",
    ) -> None:
        self.limits = dict(limits)
        self._clock = clock
        self._levels = levels or Levels()
        with self._levels.lock():
            self._buckets = {
                kind: _Bucket(limit, self._levels.level(owner, kind, limit, clock())) for kind, limit in limits.items()
            }

    def take_if_left(self, kinds: Iterable[Kind], **amounts: int) -> None:
        """Take amounts, as `take`. Raises `RateLimited` if less than one is left of any of these kinds."""
        with self._levels.lock():
            now = self._clock()
            waits = {kind: bucket.seconds_until(1, now) for kind, bucket in self._buckets.items() if kind in kinds}
            longest = max(waits, key=lambda kind: waits[kind], default=None)
            if longest is not None and waits[longest] > 0:
                raise RateLimited(longest.replace("-", " "), self.limits[longest], math.ceil(waits[longest]))
            self._take(amounts, now)

    def take(self, **amounts: int) -> None:
        """Take amounts, by the names of the kinds; negative ones are returned."""
        with self._levels.lock():
            self._take(amounts, self._clock())

    def _take(self, amounts: Mapping[str, int], now: float) -> None:
        for name, amount in amounts.items():
            if bucket := self._buckets.get(Kind(name.replace("_", "-"))):
                bucket.take(amount, now)

    def headers(self) -> dict[str, str]:
        """Return the headers of a response: of each limit its size, what is left, and when it will be full (RFC 3339)."""
        fields: dict[str, str] = {}
        with self._levels.lock():
            now, today = self._clock(), datetime.now(UTC)
            for kind, bucket in self._buckets.items():
                reset = today + timedelta(seconds=bucket.seconds_until(bucket.limit, now))
                values = (bucket.limit, max(0, math.floor(bucket.level(now))), f"{reset:%Y-%m-%dT%H:%M:%SZ}")
                names = (f"anthropic-ratelimit-{kind}-{field}" for field in _FIELDS)
                fields |= dict(zip(names, map(str, values), strict=True))
        return fields


class Spending:
    """What one request takes from the limits of its key."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._begun = False
        self._reserved = 0

    def begin(self) -> None:
        """Count the request. Raises `RateLimited` if any limit is used up."""
        self._begun = True
        self._limits.take_if_left(Kind, requests=1)

    def reserve(self, prompt: int) -> None:
        """Take the tokens of a prompt. Raises `RateLimited` if requests that ran meanwhile used up a limit."""
        self._limits.take_if_left((Kind.TOKENS, Kind.INPUT_TOKENS, Kind.OUTPUT_TOKENS), tokens=prompt, input_tokens=prompt)
        self._reserved = prompt

    def settle(self, used: Tokens | None) -> None:
        """Correct the amounts at the end of the request; `used` is None if it did not reach the engine."""
        computed, output = (used.new, used.output) if used else (0, 0)
        returned = computed - self._reserved
        self._reserved = computed
        self._limits.take(tokens=returned + output, input_tokens=returned, output_tokens=output)

    def headers(self) -> dict[str, str]:
        """Return the headers of the response; none for a request that is not limited."""
        return self._limits.headers() if self._begun else {}
