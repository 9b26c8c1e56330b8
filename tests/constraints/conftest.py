"""The fixtures of the engines' tests: grammars are tried on the default model."""

from engines.conftest import engine, model

__all__ = ["engine", "model"]
