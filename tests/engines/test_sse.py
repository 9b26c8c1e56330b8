import pytest

from dragoman.engines import sse
from dragoman.engines.sse import EventSplitter
from dragoman.errors import EngineFailed

STREAM = b': hello\n\ndata: {"a": "\\n\\n"}\n\ndata: \xc3\xa9\n\n\n\nerror: x\n\ndata: unfinished'
EVENTS = [b": hello", b'data: {"a": "\\n\\n"}', b"data: \xc3\xa9", b"", b"error: x"]


def test_events_are_the_same_at_every_split_point() -> None:
    for at in range(len(STREAM) + 1):
        splitter = EventSplitter()
        assert splitter.feed(STREAM[:at]) + splitter.feed(STREAM[at:]) == EVENTS


def test_events_are_the_same_byte_by_byte() -> None:
    splitter = EventSplitter()
    assert [event for byte in STREAM for event in splitter.feed(bytes([byte]))] == EVENTS


def test_an_event_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_REPLY", 100)
    splitter = EventSplitter()
    for _ in range(10):
        assert splitter.feed(b"data: 1234") == []
    with pytest.raises(EngineFailed, match="too large"):
        splitter.feed(b".")
