"""A request's record: what it notes on the way, and what it then says."""

from dataclasses import dataclass

import pytest

from dragoman.errors import EngineFailed, Overloaded
from dragoman.observability import Record
from dragoman.observability.log_entry import Seconds, Tokens
from dragoman.parts import Ending, Prefill, StopReason, Text, TokenCounts

TALLY = TokenCounts(prompt=100, cached=80, output=20, thinking=5)


@dataclass
class Turn:
    """What a record asks."""

    counts: TokenCounts = TALLY
    calls: int = 2
    repairs: tuple[str, ...] = ("quotes",)
    violations: tuple[str, ...] = ()


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begun(clock: Clock) -> Record:
    """A second until the prompt is made, two in the queue."""
    found = Record("req_1", "POST", "/v1/messages", clock=clock)
    clock.wait(1)
    found.wait(Turn())
    clock.wait(2)
    found.start()
    return found


def test_the_stretches_add_up(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(3)
    found.add_part(Prefill(total=100, cached=80, done=90))
    clock.wait(1)
    found.add_part(Prefill(total=100, cached=80, done=100))
    clock.wait(0.5)
    found.add_part(Text("Hello"))
    clock.wait(3.5)
    found.add_part(Ending(StopReason.END_TURN, TALLY))
    clock.wait(1)
    told = found.entry()
    assert told.seconds == Seconds(total=12, prepare=1, queue=2, prefill=4, decode=4, first_token=7.5)
    assert told.tokens == Tokens(prompt=100, new=20, cached=80, output=20, thinking=5)
    assert (told.tokens_per_second, told.calls, told.repairs, told.ending) == (5.0, 2, ("quotes",), "end_turn")


def test_an_engine_that_does_not_tell_when_the_prompt_is_read_has_read_it_with_the_first_token(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(3)
    found.add_part(Text("Hello"))
    clock.wait(2)
    found.add_part(Ending(StopReason.MAX_TOKENS, TALLY))
    assert found.entry().seconds == Seconds(total=8, prepare=1, queue=2, prefill=3, decode=2, first_token=6)


def test_what_was_cut_tells_as_far_as_it_came(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(1)
    found.add_part(Text("Hel"))
    clock.wait(4)
    found.leave(0.25)
    told = found.entry()
    assert (told.ending, told.seconds.decode, told.seconds.stop) == ("client_left", 4, 0.25)
    assert told.tokens is not None


def test_the_stretch_that_was_cut_lasts_to_the_end(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(60)
    found.fail(EngineFailed("it died"))
    assert found.entry().seconds == Seconds(total=63, prepare=1, queue=2, prefill=60)


def test_who_left_in_the_queue_cost_no_tokens(clock: Clock) -> None:
    found = Record("req_1", "POST", "/v1/messages", work=Turn(), ready=0.0, clock=clock)
    clock.wait(5)
    assert (found.waiting, found.running) == (True, False)
    found.leave(0)
    told = found.entry()
    assert (told.tokens, told.calls, told.repairs) == (None, 0, ())
    assert told.seconds == Seconds(total=5, prepare=0, queue=5, stop=0)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Overloaded("busy"), "overloaded_error", "busy"),
        (EngineFailed("it died"), "api_error", "it died"),
        (KeyError("x"), "api_error", "KeyError: 'x'"),
    ],
)
def test_a_failure_has_the_type_that_the_client_is_told(error: Exception, kind: str, message: str) -> None:
    found = Record("req_1", "POST", "/v1/messages")
    found.fail(error)
    told = found.entry()
    assert (told.ending, told.error, told.message) == ("error", kind, message)
