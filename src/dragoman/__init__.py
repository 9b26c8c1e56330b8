"""Any open-weight model behind the Anthropic Messages API."""

from importlib.metadata import version

__version__ = version("dragoman")
