"""Determines the tools of a request: those listed at the top of the prompt, and those that the answer may call.

A tool with `defer_loading` is listed later: by a result that refers to it, or by a `tool_addition` (TOOL-12, IN-14). The list
at the top does not depend on that, so that the prompt stays append-only: it has no deferred tools, and keeps tools that a
`tool_removal` removes. If nothing in the request could ever list them, deferred tools are at the top, after the others.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dragoman.api.anthropic.blocks import (
    ContentBlock,
    ToolAdditionBlock,
    ToolDefinition,
    ToolReference,
    ToolReferenceBlock,
    ToolRemovalBlock,
    ToolResultBlock,
)
from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.anthropic.tools import CustomTool, DefinedTool

TOOL_CHANGES = frozenset({"mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15"})
"""Betas of clients that may add tools later."""

_SEARCH = re.compile("tool_?search|search_?tool", re.IGNORECASE)
"""Names that clients give to their tool search. A declaration does not say that a tool's results refer to tools."""

AnyToolModel = CustomTool | DefinedTool
Changing = ToolReferenceBlock | ToolAdditionBlock | ToolRemovalBlock


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of a request: `top` at the top of the prompt, `callable` those that the next answer may call, by name."""

    top: Sequence[AnyToolModel]
    callable: Mapping[str, AnyToolModel]


def offer_of(request: PromptRequest, betas: frozenset[str] = frozenset()) -> Offer:
    """The tools of a request. `betas` are the names in `anthropic-beta`. References to unknown tools are ignored."""
    tools = request.tools or ()
    at_once = [tool for tool in tools if not tool.defer_loading]
    deferred = [tool for tool in tools if tool.defer_loading]
    changes = list(_changes(request))
    waits = (
        bool(betas & TOOL_CHANGES)
        or any(isinstance(change, ToolReferenceBlock) for change in changes)
        or any(_SEARCH.search(tool.name or "") for tool in at_once)
    )
    top = at_once if waits else [*at_once, *deferred]
    if any(isinstance(change, ToolAdditionBlock | ToolRemovalBlock) for change in changes):
        return Offer(top, _callable_at_end(tools, top, changes))
    return Offer(top, {tool.name or "": tool for tool in (*at_once, *deferred)})


def _changes(request: PromptRequest) -> Iterator[Changing]:
    for message in request.messages:
        for block in message.blocks:
            yield from _changes_in(block)


def _changes_in(block: ContentBlock) -> Iterator[Changing]:
    if isinstance(block, ToolAdditionBlock | ToolRemovalBlock):
        yield block
    elif isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        yield from (inner for inner in block.content if isinstance(inner, ToolReferenceBlock))


def _callable_at_end(
    tools: Sequence[AnyToolModel], top: Sequence[AnyToolModel], changes: Sequence[Changing]
) -> Mapping[str, AnyToolModel]:
    """The tools that can be called at the end of a conversation that adds or removes tools in its messages."""
    declared = {tool.name or "": tool for tool in tools}
    found = {tool.name or "": tool for tool in top}
    for change in changes:
        match change:
            case ToolReferenceBlock(tool_name=name) | ToolAdditionBlock(tool=ToolReference(name=name)):
                if name in declared:
                    found[name] = declared[name]
            case ToolAdditionBlock(tool=ToolDefinition(definition=tool)):
                declared[tool.name or ""] = found[tool.name or ""] = tool
            case ToolRemovalBlock(tool=ToolReference(name=name)):
                found.pop(name, None)
            case _:
                pass
    return found
