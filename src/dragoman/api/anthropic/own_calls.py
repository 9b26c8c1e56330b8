"""Reads calls of this server's own tools in earlier answers, and their results, as the calls and results that they were.

The model gets what it got when the answer was made, so that the prompt stays append-only. Blocks of other servers become text
(`server_tools`).
"""

from collections.abc import Mapping, Sequence

from dragoman.api.anthropic.blocks import ServerToolBlock
from dragoman.api.anthropic.own_outputs import output_of
from dragoman.conversation.mcp_names import mcp_tool_name
from dragoman.conversation.tool_texts import described
from dragoman.conversation.types import (
    Attachment,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from dragoman.conversation.web_results import fetched, searched
from dragoman.parts.server_tools import FetchedPage, FoundTools, SearchHits, is_failure, is_own_call_id


def own_call(block: ServerToolBlock) -> ToolCall | None:
    """The call in a block; None if the block is not a call of this server."""
    match block.type, block.model_extra:
        case "server_tool_use", {"id": str(call_id), "name": str(name), "input": dict(called)} if is_own_call_id(call_id):
            return ToolCall(call_id, name, called)
        case (
            "mcp_tool_use",
            {"id": str(call_id), "name": str(name), "server_name": str(server), "input": dict(called)},
        ) if is_own_call_id(call_id):
            return ToolCall(call_id, mcp_tool_name(server, name), called)
        case _:
            return None


def own_result(
    block: ServerToolBlock, calls: Mapping[str, str], path: str, tools: Mapping[str, Tool], *, citable: bool
) -> ToolResult | None:
    """The result in a block; None if the block is not a result of one of these calls, or its content is not readable.

    `path` is that of the block, `tools` are those of the client, which searches describe. `citable`: answers may cite.
    """
    call_id = (block.model_extra or {}).get("tool_use_id")
    if not isinstance(call_id, str) or call_id not in calls or (output := output_of(block)) is None:
        return None
    match output:
        case FoundTools(names) if names:
            content: Sequence[Text | Attachment] = (Text("\n".join(described(name, tools) for name in names)),)
        case SearchHits(hits):
            content = searched(hits, cites=citable, path=path)
        case FetchedPage():
            content = (fetched(output, cites=citable and output.cites, path=path),)
        case _:
            content = (Text(output.text),) if output.text else ()
    return ToolResult(call_id, calls[call_id], content, is_failure(output))
