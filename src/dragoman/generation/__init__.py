"""One turn: job, pieces, parser, policies, parts."""

from dragoman.generation.turn import Turn

__all__ = ["Turn"]
