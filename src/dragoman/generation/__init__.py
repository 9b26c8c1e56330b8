"""Generations: the engine requests of an answer, and the parts that their output becomes."""

from dragoman.generation.generation import Generation

__all__ = ["Generation"]
