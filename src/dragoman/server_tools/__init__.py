"""Tools that the server runs itself, in the middle of an answer."""

from dragoman.server_tools.base import ServerTool
from dragoman.server_tools.declared import RequestTools, ServerToolbox
from dragoman.server_tools.settings import SearchSettings, ServerToolSettings, UnusableProvider

__all__ = [
    "RequestTools",
    "SearchSettings",
    "ServerTool",
    "ServerToolSettings",
    "ServerToolbox",
    "UnusableProvider",
]
