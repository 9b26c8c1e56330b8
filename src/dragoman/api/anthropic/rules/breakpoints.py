"""Rules for the number and order of cache breakpoints."""

from collections.abc import Iterator

from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.anthropic.request import PromptRequest
from dragoman.errors import InvalidRequest

MAX_BREAKPOINTS = 4


def check_breakpoints(request: PromptRequest) -> None:
    """Check the number of breakpoints and that longer ones come first (CACHE-2, CACHE-3)."""
    found = list(_breakpoints(request))
    total = len(found) + (request.cache_control is not None)
    if total > MAX_BREAKPOINTS:
        raise InvalidRequest(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {total}.")
    short_seen = False
    for path, control in found:
        if control.ttl == "1h" and short_seen:
            raise InvalidRequest.at(
                f"{path}.ttl",
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
                "processed in the following order: `tools`, `system`, `messages`.",
            )
        short_seen = short_seen or control.ttl != "1h"


def _breakpoints(request: PromptRequest) -> Iterator[tuple[str, CacheControl]]:
    """Every breakpoint with its path, in the order of the prompt: tools, system, messages (CACHE-3)."""
    for index, tool in enumerate(request.tools or ()):
        if tool.cache_control:
            yield f"tools.{index}.cache_control", tool.cache_control
    if not isinstance(request.system, str):
        for index, block in enumerate(request.system or ()):
            if block.cache_control:
                yield f"system.{index}.cache_control", block.cache_control
    for index, message in enumerate(request.messages):
        for path, control in message.breakpoints:
            yield f"messages.{index}.content{path}", control
