"""Serves open-weight models through the Anthropic Messages API."""

from importlib.metadata import version

__version__ = version("dragoman")
