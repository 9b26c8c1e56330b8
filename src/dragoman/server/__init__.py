"""The HTTP server: routes, middleware, admission, and responses."""

from dragoman.server.app import create_app
from dragoman.server.model_entry import ModelEntry
from dragoman.server.registry import ModelRegistry
from dragoman.server.served_model import ServedModel, Settings

__all__ = ["ModelEntry", "ModelRegistry", "ServedModel", "Settings", "create_app"]
