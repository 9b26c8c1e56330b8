"""Observability: the request log, metrics, captured requests, and prefix divergence."""

from dragoman.observability.captured import BadCapture, CapturedExchange
from dragoman.observability.log import LOG_FORMATS, log_request
from dragoman.observability.log_entry import RequestLogEntry
from dragoman.observability.record import Record

__all__ = ["LOG_FORMATS", "BadCapture", "CapturedExchange", "Record", "RequestLogEntry", "log_request"]
