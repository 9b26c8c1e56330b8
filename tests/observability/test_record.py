"""The record of a request, and the log entry made from it."""

from dataclasses import dataclass

import pytest

from dragoman.errors import EngineFailed, Overloaded
from dragoman.observability import Record
from dragoman.observability.log_entry import Seconds, Tokens
from dragoman.parts import Ending, Prefill, StopReason, Text, TokenCounts

COUNTS = TokenCounts(prompt=100, cached=80, output=20, thinking=5, drafted=9, accepted=7)


@dataclass
class FinishedWork:
    """The work of a record: a finished generation."""

    counts: TokenCounts = COUNTS
    calls: int = 2
    repairs: tuple[str, ...] = ("quotes",)
    violations: tuple[str, ...] = ()
    tool_seconds: float = 0.0


class Clock:
    """A clock that the test controls."""

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
    """Return a record with one second of preparation and two in the queue."""
    found = Record("req_1", "POST", "/v1/messages", clock=clock)
    clock.wait(1)
    found.wait(FinishedWork())
    clock.wait(2)
    found.start()
    return found


def test_the_durations_add_up(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(3)
    found.add_part(Prefill(total=100, cached=80, done=90))
    clock.wait(1)
    found.add_part(Prefill(total=100, cached=80, done=100))
    clock.wait(0.5)
    found.add_part(Text("Hello"))
    clock.wait(3.5)
    found.add_part(Ending(StopReason.END_TURN, COUNTS))
    clock.wait(1)
    entry = found.entry()
    assert entry.seconds == Seconds(total=12, prepare=1, queue=2, prefill=4, decode=4, first_token=7.5)
    assert entry.tokens == Tokens(prompt=100, new=20, cached=80, output=20, thinking=5, drafted=9, accepted=7)
    assert (entry.tokens_per_second, entry.calls, entry.repairs, entry.ending) == (5.0, 2, ("quotes",), "end_turn")


def test_the_time_of_server_tools_is_not_decoding(clock: Clock) -> None:
    found = begun(clock)
    assert isinstance(found.work, FinishedWork)
    found.work.tool_seconds = 3.0
    clock.wait(1)
    found.add_part(Text("I look."))
    clock.wait(5)
    found.add_part(Ending(StopReason.END_TURN, COUNTS))
    seconds = found.entry().seconds
    assert (seconds.decode, seconds.tools, found.decoded) == (2, 3, (20, 2))


def test_without_prefill_progress_the_prefill_ends_with_the_first_output(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(3)
    found.add_part(Text("Hello"))
    clock.wait(2)
    found.add_part(Ending(StopReason.MAX_TOKENS, COUNTS))
    assert found.entry().seconds == Seconds(total=8, prepare=1, queue=2, prefill=3, decode=2, first_token=6)


def test_a_cut_answer_has_its_counts_so_far(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(1)
    found.add_part(Text("Hel"))
    clock.wait(4)
    found.leave(0.25)
    entry = found.entry()
    assert (entry.ending, entry.seconds.decode, entry.seconds.stop) == ("client_left", 4, 0.25)
    assert entry.tokens is not None


def test_a_cut_phase_lasts_to_the_end(clock: Clock) -> None:
    found = begun(clock)
    clock.wait(60)
    found.fail(EngineFailed("it died"))
    assert found.entry().seconds == Seconds(total=63, prepare=1, queue=2, prefill=60)


def test_a_disconnect_in_the_queue_has_no_tokens(clock: Clock) -> None:
    found = Record("req_1", "POST", "/v1/messages", work=FinishedWork(), ready=0.0, clock=clock)
    clock.wait(5)
    assert (found.waiting, found.running) == (True, False)
    found.leave(0)
    entry = found.entry()
    assert (entry.tokens, entry.calls, entry.repairs) == (None, 0, ())
    assert entry.seconds == Seconds(total=5, prepare=0, queue=5, stop=0)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Overloaded("busy"), "overloaded_error", "busy"),
        (EngineFailed("it died"), "api_error", "it died"),
        (KeyError("x"), "api_error", "KeyError: 'x'"),
    ],
)
def test_a_failure_has_the_clients_error_type(error: Exception, kind: str, message: str) -> None:
    found = Record("req_1", "POST", "/v1/messages")
    found.fail(error)
    entry = found.entry()
    assert (entry.ending, entry.error, entry.message) == ("error", kind, message)
