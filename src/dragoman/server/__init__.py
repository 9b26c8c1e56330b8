"""The edge: HTTP on one side, turns on the other."""

from dragoman.server.app import create_app
from dragoman.server.service import Gateway, Service, Settings

__all__ = ["Gateway", "Service", "Settings", "create_app"]
