"""Which tools a request offers: at the top of its prompt, and to the answer at its end.

A tool with `defer_loading` waits until something surfaces it: a result that refers to it, or a `tool_addition` (TOOL-12,
IN-14). The list at the top does not depend on that, so that the prompt stays append-only: it holds no tool that waits, and
keeps those that a `tool_removal` takes away. Where nothing could ever surface them, deferred tools stand at the top after the
others.
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
"""Betas by which a client says that it may add tools later."""

_SEARCH = re.compile("tool_?search|search_?tool", re.IGNORECASE)
"""How clients name the tool that finds others. Nothing in a declaration says what a tool's results will be."""

AnyToolModel = CustomTool | DefinedTool
Changing = ToolReferenceBlock | ToolAdditionBlock | ToolRemovalBlock


@dataclass(frozen=True, slots=True)
class Offer:
    """`top` are the tools that the prompt begins with, `callable` those that the next answer may call, by name."""

    top: Sequence[AnyToolModel]
    callable: Mapping[str, AnyToolModel]


def offer_of(request: PromptRequest, betas: frozenset[str] = frozenset()) -> Offer:
    """Read the changes in order. `betas` are the names in `anthropic-beta`. References that lead nowhere change nothing."""
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
        return Offer(top, _folded(tools, top, changes))
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


def _folded(
    tools: Sequence[AnyToolModel], top: Sequence[AnyToolModel], changes: Sequence[Changing]
) -> Mapping[str, AnyToolModel]:
    """What can be called at the end, in a conversation that announces its tools: what is at the top, and what was surfaced."""
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
