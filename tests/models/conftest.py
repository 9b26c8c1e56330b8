"""The fixtures of the engines' tests, for the default model."""

from engines.conftest import engine, model

__all__ = ["engine", "model"]
