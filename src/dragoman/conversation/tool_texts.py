"""The text for tools that a result or a system message adds, removes or refers to.

The text does not depend on what comes after it, so that the prompt stays append-only (TOOL-12, IN-14).
"""

import json
from collections.abc import Mapping

from dragoman.conversation.types import Tool


def described(name: str, tools: Mapping[str, Tool]) -> str:
    """The description of a found tool, or the text for a removed one if the client no longer declares it."""
    if name not in tools:
        return removed(name)
    return f"<function>{json.dumps(tools[name].function['function'], ensure_ascii=False)}</function>"


def added(name: str, tools: Mapping[str, Tool]) -> str:
    """The text for a tool that can be called from here on."""
    return f"The tool {name} is now available:\n{described(name, tools)}"


def removed(name: str) -> str:
    """The text for a tool that cannot be called from here on."""
    return f"The tool {name} is no longer available."
