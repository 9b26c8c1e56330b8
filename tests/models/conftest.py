"""The fixtures of the engines' tests: headers are read from the default model."""

from engines.conftest import engine, model

__all__ = ["engine", "model"]
