"""Tools that wait until they are found (TOOL-12).

A client may declare a tool with `defer_loading`. It is no part of the list at the top of the prompt: the model reads of it
where a result refers to it by name. So the list at the top does not change when a tool is found, and the prompt stays
append-only. Where nothing could ever find it, it stands at the top, behind the others.
"""

import json
import re
from collections.abc import Mapping, Sequence

from dragoman.conversation.types import Tool

_SEARCH = re.compile("tool_?search|search_?tool", re.IGNORECASE)
"""How clients name the tool that finds others. Nothing in a declaration says what a tool's results will be."""


def offered(at_once: Sequence[Tool], deferred: Sequence[Tool], *, found: bool) -> tuple[Sequence[Tool], Sequence[Tool]]:
    """The tools at the top, and those that wait. `found`: does a result refer to a tool already?"""
    if found or any(_SEARCH.search(tool.name) for tool in at_once):
        return at_once, deferred
    return (*at_once, *deferred), ()


def described(name: str, tools: Mapping[str, Tool]) -> str:
    """A found tool as the model reads it. One that the client declares no more is said to be gone."""
    if name not in tools:
        return f"The tool {name} is no longer available."
    return f"<function>{json.dumps(tools[name].function['function'], ensure_ascii=False)}</function>"
