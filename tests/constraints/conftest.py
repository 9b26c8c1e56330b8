"""The fixtures of the engines' tests: grammars are tried on a tiny model."""

from engines.conftest import tiny_engine

__all__ = ["tiny_engine"]
