"""What is told of a request once it is over: to the log, to the counters, to a file."""

from dragoman.observe.entry import Entry
from dragoman.observe.exchange import BadCapture, Exchange
from dragoman.observe.log import LOG_FORMATS, tell
from dragoman.observe.record import Record

__all__ = ["LOG_FORMATS", "BadCapture", "Entry", "Exchange", "Record", "tell"]
