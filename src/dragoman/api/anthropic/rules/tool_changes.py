"""Rules for tools that are added and removed in messages."""

from dragoman.api.anthropic.blocks import McpToolReference, ToolAdditionBlock, ToolDefinition, ToolReference, ToolRemovalBlock
from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.anthropic.rules.tools import checked_name
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits


def check_tool_changes(request: PromptRequest, limits: Limits = DEFAULT) -> None:
    """Check that changes are in system messages, and refer to tools declared before them (IN-14, TOOL-16)."""
    declared = {tool.name for tool in request.tools or ()}
    for index, message in enumerate(request.messages):
        for position, block in enumerate(message.blocks):
            if isinstance(block, ToolAdditionBlock | ToolRemovalBlock):
                path = f"messages.{index}.content.{position}"
                if message.role != "system":
                    raise InvalidRequest.at(path, f"`{block.type}` blocks can only be in `system` messages")
                declared.add(_name(block.tool, declared, f"{path}.{block.type}.tool", limits))


def _name(tool: ToolReference | McpToolReference | ToolDefinition, declared: set[str | None], path: str, limits: Limits) -> str:
    match tool:
        case ToolDefinition(definition=definition):
            return checked_name(definition, f"{path}.tool_definition.definition", limits)
        case McpToolReference():
            reason = f"{tool.type} names a tool of an MCP server; this server does not call MCP servers"
            raise InvalidRequest.at(f"{path}.type", reason)
        case ToolReference(name=name):
            if name not in declared:
                raise InvalidRequest.at(
                    f"{path}.tool_reference.name",
                    f"Tool reference '{name}' not found in available tools",
                    details={"error_code": "tool_reference_unresolved"},
                )
            return name
