"""The HTTP server: routes, middleware, admission, and responses."""

from dragoman.server.app import create_app
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.served_model import ServedModel, Settings

__all__ = ["ModelEntry", "ModelRegistry", "ServedModel", "Settings", "create_app"]
