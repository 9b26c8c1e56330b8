"""What is told of a request once it is over."""

from dragoman.observe.record import Record

__all__ = ["Record"]
