"""Adds the tools that the server runs to a conversation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dragoman.conversation import Conversation, Dialogue, Text, Tool, ToolPolicy, ToolResult, Turn
from dragoman.conversation.tool_texts import described
from dragoman.errors import InvalidRequest
from dragoman.server_tools import RequestTools


def with_tools(conversation: Conversation, made: RequestTools) -> Conversation:
    """The conversation with these tools after those of the client. Raises `InvalidRequest`."""
    dialogue = replace(conversation.dialogue, tools=(*conversation.dialogue.tools, *made.listed))
    policy = replace(conversation.policy, tools=(*conversation.policy.tools, *made.callable))
    names = [tool.name for tool in policy.tools]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InvalidRequest.at("tools", f"Tool names must be unique: {twice[0]}.")
    policy = replace(policy, tool_policy=_choice(policy.tool_policy, names))
    return Conversation(_with_descriptions(dialogue, made), policy)


def _choice(policy: ToolPolicy, names: Sequence[str]) -> ToolPolicy:
    """The tool choice with the name that the model sees; a tool of an MCP server may be chosen by its own name.

    Raises `InvalidRequest` for a tool that is not there (TOOL-6): those of MCP servers are known only now.
    """
    if policy.forced and not names:
        raise InvalidRequest.at("tool_choice", f"{policy.choice} needs `tools`, but there are none")
    if policy.name is None or policy.name in names:
        return policy
    same = [name for name in names if name.endswith(f"__{policy.name}")]
    if len(same) != 1:
        raise InvalidRequest.at("tool_choice", f"Tool '{policy.name}' not found in provided tools")
    return replace(policy, name=same[0])


def _with_descriptions(dialogue: Dialogue, made: RequestTools) -> Dialogue:
    """The dialogue with the descriptions of tools of MCP servers that earlier searches found, as when they were found."""
    if not made.found:
        return dialogue
    return replace(dialogue, turns=tuple(_described(turn, made.found, made.by_name) for turn in dialogue.turns))


def _described(turn: Turn, found: Mapping[str, Sequence[str]], tools: Mapping[str, Tool]) -> Turn:
    content = [
        replace(part, content=(Text("\n".join(described(name, tools) for name in found[part.call_id])),))
        if isinstance(part, ToolResult) and found.get(part.call_id)
        else part
        for part in turn.content
    ]
    return Turn(turn.role, tuple(content))
