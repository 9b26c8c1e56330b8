"""The names under which a model sees the tools of MCP servers."""

import re
from typing import Final

_LONGEST: Final = 128
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")


def mcp_tool_name(server: str, tool: str) -> str:
    """The name of a tool for the model: with that of its server, since two servers may have tools of one name.

    It depends on nothing else, so that it is the same in every request of a conversation.
    """
    return _NOT_IN_NAMES.sub("_", f"{server}__{tool}")[:_LONGEST]
