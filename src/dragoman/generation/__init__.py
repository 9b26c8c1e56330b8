"""One answer: engine request, output chunks, parser, policies, parts."""

from dragoman.generation.generation import Generation

__all__ = ["Generation"]
