"""The edge: HTTP on one side, turns on the other."""

from dragoman.server.app import create_app
from dragoman.server.gateway import Gateway
from dragoman.server.service import Service, Settings

__all__ = ["Gateway", "Service", "Settings", "create_app"]
