"""What is left of the limits of keys, in memory that several processes share."""

import os
import sys

import pytest

from dragoman.errors import RateLimited
from dragoman.server.access.rate_limits import Kind, Levels, RateLimits

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")


@pytest.fixture
def levels() -> Levels:
    from dragoman.server.access.shared_levels import SharedLevels  # noqa: PLC0415 -- not on Windows

    return SharedLevels()


def limits(levels: Levels, requests: int, owner: str = "ann") -> RateLimits:
    return RateLimits({Kind.REQUESTS: requests, Kind.TOKENS: 1000}, lambda: 0.0, levels, owner)


def left(found: RateLimits) -> tuple[int, int]:
    fields = found.headers()
    return tuple(int(fields[f"anthropic-ratelimit-{kind}-remaining"]) for kind in (Kind.REQUESTS, Kind.TOKENS))  # type: ignore[return-value]


def test_all_who_know_a_limit_take_from_the_same_amount(levels: Levels) -> None:
    first, second, other = limits(levels, 3), limits(levels, 3), limits(levels, 3, "bob")
    first.take_if_left(Kind, requests=2)
    second.take_if_left(Kind, requests=1, tokens=10)
    with pytest.raises(RateLimited):
        first.take_if_left(Kind, requests=1)
    assert left(first) == left(second) == (0, 990)
    assert left(other) == (3, 1000)


def test_a_changed_limit_is_full_and_an_unchanged_one_keeps_what_is_left(levels: Levels) -> None:
    limits(levels, 3).take(requests=3, tokens=100)
    assert left(limits(levels, 5)) == (5, 900)


def test_a_process_that_is_killed_leaves_what_it_took_and_no_lock(levels: Levels) -> None:
    ours = limits(levels, 10)
    child = os.fork()
    if child == 0:
        ours.take(requests=4)
        with levels.lock():
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert left(ours) == (6, 1000)
