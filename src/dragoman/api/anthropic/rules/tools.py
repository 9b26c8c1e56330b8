"""Rules for the declared tools, those that messages add and remove, and the tool choice."""

from collections import Counter
from collections.abc import Collection

from dragoman.api.anthropic.blocks import (
    TOOL_CHANGES,
    CompactionBlock,
    McpToolReference,
    ToolAdditionBlock,
    ToolDefinition,
    ToolReference,
    ToolRemovalBlock,
)
from dragoman.api.anthropic.defined_tools import definition
from dragoman.api.anthropic.offer import AnyToolModel
from dragoman.api.anthropic.request import AnyChoice, AnyToolChoice, NamedToolChoice, PromptRequest
from dragoman.api.anthropic.rules.server_tools import check_server_tool
from dragoman.api.anthropic.tools import CustomTool, ServerTool
from dragoman.api.schemas import check_examples, check_schema
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits


def check_tools(request: PromptRequest, limits: Limits = DEFAULT, runs: Collection[str] = ()) -> None:
    """Check the declared tools (TOOL-2, TOOL-3, TOOL-12, TOOL-14, TOOL-15). `runs` are the tools that the server runs."""
    checked = [_checked_name(tool, f"tools.{index}", limits, runs) for index, tool in enumerate(request.tools or ())]
    names = [name for name in checked if name is not None]
    if any(count > 1 for count in Counter(names).values()):
        raise InvalidRequest.at("tools", "Tool names must be unique.")


def _checked_name(tool: AnyToolModel, path: str, limits: Limits = DEFAULT, runs: Collection[str] = ()) -> str | None:
    """The name of the tool declared at `path`, None for a toolset. Raises `InvalidRequest` if the declaration is not valid."""
    if isinstance(tool, ServerTool):
        check_server_tool(tool, path, runs)
        _check_callers(tool, path)
        return tool.name
    if isinstance(tool, CustomTool):
        path, name, schema = f"{path}.custom", tool.name, tool.input_schema
        check_schema(schema, f"{path}.input_schema", limits)
    else:
        name, _, schema = definition(tool.type, f"{path}.type")
        path = f"{path}.{tool.type}"
        if tool.name != name:
            raise InvalidRequest.at(f"{path}.name", "Field required" if tool.name is None else f"Input should be '{name}'")
    _check_callers(tool, path)
    check_examples(schema, tool.input_examples or (), f"{path}.input_examples")
    return name


def _check_callers(tool: AnyToolModel, path: str) -> None:
    if tool.allowed_callers and "direct" not in tool.allowed_callers:
        raise InvalidRequest.at(
            f"{path}.allowed_callers", "must include 'direct': this server runs no code that could call tools"
        )


def check_choice(choice: AnyChoice | None, names: Collection[str]) -> None:
    """Check that the choice is possible (TOOL-6). `names` are the tools that can be called at the end of the conversation."""
    if isinstance(choice, AnyToolChoice | NamedToolChoice):
        if not names:
            raise InvalidRequest.at("tool_choice", f"{choice.type} needs `tools`, but there are none")
        if isinstance(choice, NamedToolChoice) and choice.name not in names:
            raise InvalidRequest.at("tool_choice", f"Tool '{choice.name}' not found in provided tools")


def check_tool_changes(request: PromptRequest, limits: Limits = DEFAULT) -> None:
    """Check that changes are in system messages or in summaries, and refer to tools declared before them (IN-14, TOOL-16)."""
    declared = {tool.name for tool in request.tools or ()}
    for index, message in enumerate(request.messages):
        if message.types.isdisjoint(TOOL_CHANGES):
            continue
        for position, block in enumerate(message.blocks):
            path = f"messages.{index}.content.{position}"
            if isinstance(block, ToolAdditionBlock | ToolRemovalBlock):
                if message.role != "system":
                    raise InvalidRequest.at(path, f"`{block.type}` blocks can only be in `system` messages")
                declared.add(_name(block.tool, declared, f"{path}.{block.type}.tool", limits))
            elif isinstance(block, CompactionBlock):
                for place, change in enumerate(block.tool_changes or ()):
                    within = f"{path}.compaction.tool_changes.{place}.{change.type}.tool"
                    declared.add(_name(change.tool, declared, within, limits))


def _name(tool: ToolReference | McpToolReference | ToolDefinition, declared: set[str | None], path: str, limits: Limits) -> str:
    match tool:
        case ToolDefinition(definition=definition) if isinstance(definition, ServerTool):
            raise InvalidRequest.at(f"{path}.tool_definition", "a tool that the server runs is declared in `tools` only")
        case ToolDefinition(definition=definition):
            return _checked_name(definition, f"{path}.tool_definition.definition", limits) or ""
        case McpToolReference():
            reason = f"{tool.type} names a tool of an MCP server, which cannot be added or removed in a message on this server"
            raise InvalidRequest.at(f"{path}.type", reason)
        case ToolReference(name=name):
            if name not in declared:
                raise InvalidRequest.at(
                    f"{path}.tool_reference.name",
                    f"Tool reference '{name}' not found in available tools",
                    details={"error_code": "tool_reference_unresolved"},
                )
            return name
