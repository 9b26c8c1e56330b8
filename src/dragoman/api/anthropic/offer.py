"""Determines the tools of a request: those listed at the top of the prompt, and those that the answer may call.

A tool with `defer_loading` is listed later: by a result that refers to it, or by a `tool_addition` (TOOL-12, IN-14). The list
at the top does not depend on that, so that the prompt stays append-only: it has no deferred tools, and keeps tools that a
`tool_removal` removes. If nothing in the request could ever list them, deferred tools are at the top, after the others.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.api.anthropic.blocks import (
    CompactionBlock,
    ContentBlock,
    ServerToolBlock,
    ToolAdditionBlock,
    ToolDefinition,
    ToolReference,
    ToolReferenceBlock,
    ToolRemovalBlock,
    ToolResultBlock,
)
from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.anthropic.tools import CustomTool, DefinedTool, ServerTool, ToolSearchTool

TOOL_CHANGES = frozenset({"mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15"})
"""Betas of clients that may add tools later."""

_SEARCH = re.compile("tool_?search|search_?tool", re.IGNORECASE)
"""Names that clients give to their tool search. A declaration does not say that a tool's results refer to tools."""

AnyToolModel = CustomTool | DefinedTool | ServerTool
Changing = ToolReferenceBlock | ToolAdditionBlock | ToolRemovalBlock
_CHANGING = frozenset({ToolReferenceBlock, ToolAdditionBlock, ToolRemovalBlock, CompactionBlock, ServerToolBlock})


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of a request: `top` at the top of the prompt, `callable` those that the next answer may call, by name.

    `searchable` are those among which a search of the server searches.
    """

    top: Sequence[AnyToolModel]
    callable: Mapping[str, AnyToolModel]
    searchable: Sequence[AnyToolModel] = ()


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
    searched = any(isinstance(tool, ToolSearchTool) for tool in at_once)
    searchable = deferred if searched else ()
    if searched or any(isinstance(change, ToolAdditionBlock | ToolRemovalBlock) for change in changes):
        return Offer(top, _callable_at_end(tools, top, changes), searchable)
    return Offer(top, {tool.name or "": tool for tool in (*at_once, *deferred)})


def _changes(request: PromptRequest) -> Iterator[Changing]:
    for message in request.messages:
        if not message.types.isdisjoint(_CHANGING):
            for block in message.blocks:
                yield from changes_in(block)


def changes_in(block: ContentBlock) -> Iterator[Changing]:
    """The changes of the tools in a block: additions, removals, and references that a result has."""
    if isinstance(block, ToolAdditionBlock | ToolRemovalBlock):
        yield block
    elif isinstance(block, CompactionBlock):
        yield from block.tool_changes or ()
    elif isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        yield from (inner for inner in block.content if isinstance(inner, ToolReferenceBlock))
    elif isinstance(block, ServerToolBlock):
        yield from (ToolReferenceBlock(type="tool_reference", tool_name=name) for name in block.found_tools)


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


def net_changes(request: PromptRequest) -> Sequence[dict[str, Any]]:
    """The blocks that lead from the tools at the top to those at the end of a request.

    They are sent with a summary: the messages with the changes themselves are left out after it.
    """
    tools = request.tools or ()
    declared = {tool.name or "": tool for tool in tools}
    top = {tool.name or "": tool for tool in tools if not tool.defer_loading}
    at_end = _callable_at_end(tools, list(top.values()), list(_changes(request)))
    added = [
        _change("tool_addition", name, None if tool is declared.get(name) else tool)
        for name, tool in at_end.items()
        if tool is not top.get(name)
    ]
    return [*added, *(_change("tool_removal", name) for name in top if name not in at_end)]


def _change(kind: str, name: str, defined: AnyToolModel | None = None) -> dict[str, Any]:
    """The block of a change, by the name of a declared tool or with the definition of one that a message `defined`."""
    if defined is None:
        return {"type": kind, "tool": {"type": "tool_reference", "name": name}}
    definition = defined.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {"type": kind, "tool": {"type": "tool_definition", "definition": definition}}
