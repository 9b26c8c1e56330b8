"""Engines and dialects of other packages, found by entry points.

An entry point in the group `dragoman.engines` names a function `build(options: EngineOptions) -> Engine`. The name of the entry
point is a value of `--engine`. One in the group `dragoman.dialects` names a `Dialect`, which is detected and can be chosen like
every other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from dragoman.dialects import Dialect, register
from dragoman.engines import Engine

ENGINES: Final = "dragoman.engines"
DIALECTS: Final = "dragoman.dialects"


class BadPlugin(Exception):
    """An entry point of another package cannot be used. The text says which, and why."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The operator's options for an engine: its address and key, the model, the window in tokens, concurrent requests."""

    url: str | None = None
    key: str | None = None
    model: str | None = None
    context_length: int | None = None
    parallel: int | None = None


def engine_names() -> list[str]:
    """The names of the engines of other packages."""
    return sorted(entry_points(group=ENGINES).names)


def build_engine(name: str, options: EngineOptions) -> Engine:
    """Return the engine of another package, not started. Raises `BadPlugin`, and what its function raises."""
    (found,) = entry_points(group=ENGINES, name=name)
    build: Callable[[EngineOptions], Any] = _loaded(found)
    engine = build(options)
    if not isinstance(engine, Engine):
        raise BadPlugin(f"{found.value} of the entry point {name!r} made {type(engine).__name__}, not an Engine")
    return engine


def register_dialects() -> None:
    """Make the dialects of other packages known. Raises `BadPlugin`."""
    for found in entry_points(group=DIALECTS):
        dialect = _loaded(found)
        if not isinstance(dialect, Dialect):
            raise BadPlugin(f"{found.value} of the entry point {found.name!r} is {type(dialect).__name__}, not a Dialect")
        try:
            register(dialect)
        except ValueError as error:
            raise BadPlugin(f"{found.value} of the entry point {found.name!r}: {error}") from error


def _loaded(found: EntryPoint) -> Any:
    try:
        return found.load()
    except Exception as error:
        raise BadPlugin(f"{found.value} of the entry point {found.name!r} cannot be loaded: {error}") from error
