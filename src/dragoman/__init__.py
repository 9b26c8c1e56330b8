"""Serves open-weight models through the Anthropic Messages API.

The names of the public API (`docs/extending.md`) are imported when they are first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dragoman.public import *  # noqa: F403

__version__ = version("dragoman")


def __getattr__(name: str) -> Any:
    """Import a name of the public API on first use."""
    public = import_module("dragoman.public")
    if name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(public, name)


def __dir__() -> list[str]:
    """List the module's names and those of the public API."""
    return [*globals(), *import_module("dragoman.public").__all__]
