"""Tools of which the model learns on the way: what it reads of them, where a result or a system message names them.

What is said in a place does not depend on what comes after it, so that the prompt stays append-only (TOOL-12, IN-14).
"""

import json
from collections.abc import Mapping

from dragoman.conversation.types import Tool


def described(name: str, tools: Mapping[str, Tool]) -> str:
    """A found tool as the model reads it. One that the client does not declare any more is said to be gone."""
    if name not in tools:
        return removed(name)
    return f"<function>{json.dumps(tools[name].function['function'], ensure_ascii=False)}</function>"


def added(name: str, tools: Mapping[str, Tool]) -> str:
    """A tool that can be called from here on."""
    return f"The tool {name} is now available:\n{described(name, tools)}"


def removed(name: str) -> str:
    """A tool that cannot be called from here on."""
    return f"The tool {name} is no longer available."
