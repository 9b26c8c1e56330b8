"""From the Anthropic wire to the neutral form.

Lowering never reorders turns and drops nothing without saying so: a note stands in the place of what the model cannot see
(`attachments`), what another server did by itself is text (`server_tools`), and blocks that change on the way what is offered
are refused by name. Results stand in the order of their calls. What it reads has passed `wire.rules`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dragoman.conversation.attachments import as_text, notes_on
from dragoman.conversation.discovery import described, offered
from dragoman.conversation.server_tools import server_tool_text
from dragoman.conversation.signature import recover
from dragoman.conversation.types import (
    Content,
    Conversation,
    Role,
    Sampling,
    Text,
    Thinking,
    ThinkingDisplay,
    ThinkingPolicy,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
)
from dragoman.errors import InvalidRequest
from dragoman.wire.blocks import (
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    RedactedThinkingBlock,
    ResultContent,
    SearchResultBlock,
    ServerToolBlock,
    TextBlock,
    ThinkingBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
    UnsupportedBlock,
)
from dragoman.wire.defined_tools import DEFINED
from dragoman.wire.request import (
    AnyToolChoice,
    AutoToolChoice,
    CustomTool,
    DefinedTool,
    MessagesRequest,
    NamedToolChoice,
    NoToolChoice,
    PromptRequest,
    ThinkingAdaptive,
    ThinkingEnabled,
)


def lower(request: PromptRequest) -> Conversation:
    """Raise `InvalidRequest` at the path of a block that cannot be given to the model."""
    blocks = [block for _, block in request.walk()]
    tools, waiting = _tools(request, found=any(isinstance(block, ToolReferenceBlock) for block in blocks))
    names = {block.id: block.name for block in blocks if isinstance(block, ToolUseBlock)}
    return Conversation(
        turns=tuple(_turns(request, names, {tool.name: tool for tool in (*tools, *waiting)})),
        system=_system(request),
        tools=tools,
        waiting=waiting,
        tool_policy=_tool_policy(request),
        thinking=_thinking_policy(request),
        sampling=Sampling(request.temperature, request.top_p, request.top_k),
        stop_sequences=tuple(request.stop_sequences or ()),
        max_tokens=request.max_tokens if isinstance(request, MessagesRequest) else 0,
        output=request.format.schema_ if request.format else None,
        notes=notes_on(block for _, block in request.attachments()),
    )


def _system(request: PromptRequest) -> Sequence[Text]:
    if isinstance(request.system, str):
        return (Text(request.system),) if request.system else ()
    return tuple(Text(block.text) for block in request.system or () if block.text)


def _tools(request: PromptRequest, *, found: bool) -> tuple[Sequence[Tool], Sequence[Tool]]:
    """The tools at the top, and those that wait to be found (TOOL-12). `found`: was one already?"""
    at_once: list[Tool] = []
    deferred: list[Tool] = []
    for tool in request.tools or ():
        (deferred if tool.defer_loading else at_once).append(_tool(tool))
    return offered(tuple(at_once), tuple(deferred), found=found)


def _tool(tool: CustomTool | DefinedTool) -> Tool:
    """With its examples behind its description: no template has a place of their own for them (TOOL-12)."""
    if isinstance(tool, CustomTool):
        name, words, schema = tool.name, tool.description or "", tool.input_schema
    else:
        name, words, schema = DEFINED[tool.type]
        if tool.max_characters:
            words += f" A `view` shows at most {tool.max_characters} characters."
    if tool.input_examples:
        examples = (json.dumps(example, ensure_ascii=False) for example in tool.input_examples)
        words = "\n".join([f"{words}\n\nExamples of its input:".lstrip(), *examples])
    return Tool(name, words, schema, bool(tool.strict))


def _turns(request: PromptRequest, names: Mapping[str, str], tools: Mapping[str, Tool]) -> Iterator[Turn]:
    """One turn per run of messages with the same role (REQ-6). `names` are those of the calls, by their ids."""
    places = {identifier: place for place, identifier in enumerate(names)}
    for role, run in groupby(enumerate(request.messages), key=lambda entry: entry[1].role):
        content: list[Content] = []
        for index, message in run:
            if isinstance(message.content, str) and message.content:
                content.append(Text(message.content))
            for position, block in enumerate(message.blocks):
                content.extend(_content(block, names, tools, f"messages.{index}.content.{position}"))
        yield Turn(Role(role), _in_call_order(content, places))


def _in_call_order(content: Sequence[Content], places: Mapping[str, int]) -> Sequence[Content]:
    """Parallel results come as they were done; a model whose template has no ids tells them apart by their order alone."""
    results = [part for part in content if isinstance(part, ToolResult)]
    in_order = iter(sorted(results, key=lambda result: places.get(result.call_id, 0)))
    return tuple(next(in_order) if isinstance(part, ToolResult) else part for part in content)


def _content(block: ContentBlock, names: Mapping[str, str], tools: Mapping[str, Tool], path: str) -> Iterator[Content]:
    match block:
        case TextBlock():
            yield Text(block.text)
        case ThinkingBlock():
            text = block.thinking or recover(block.signature)  # what was not shown travels in the signature (THK-9)
            if text:
                yield Thinking(text)
        case RedactedThinkingBlock():
            pass  # encrypted by its maker: there is nothing in it that a model could read (IN-11)
        case ToolUseBlock():
            yield ToolCall(block.id, block.name, block.input)
        case ToolResultBlock():
            name = names.get(block.tool_use_id, "")
            yield ToolResult(block.tool_use_id, name, _result_text(block, tools, path), bool(block.is_error))
        case ImageBlock() | DocumentBlock() | SearchResultBlock():
            yield Text(as_text(block))
        case ServerToolBlock():
            words = server_tool_text(block)
            if words:
                yield Text(words)
        case UnsupportedBlock():
            raise _refusal(block, path)


def _result_text(block: ToolResultBlock, tools: Mapping[str, Tool], path: str) -> str:
    if block.content is None or isinstance(block.content, str):
        return block.content or ""
    return "\n".join(_readable(inner, tools, f"{path}.content.{index}") for index, inner in enumerate(block.content))


def _readable(block: ResultContent, tools: Mapping[str, Tool], path: str) -> str:
    match block:
        case TextBlock():
            return block.text
        case ToolReferenceBlock():
            return described(block.tool_name, tools)
        case ImageBlock() | DocumentBlock() | SearchResultBlock():
            return as_text(block)
        case UnsupportedBlock():
            raise _refusal(block, path)


def _refusal(block: UnsupportedBlock, path: str) -> InvalidRequest:
    return InvalidRequest.at(path, f"{block.type} blocks are not supported by this server yet")


def _tool_policy(request: PromptRequest) -> ToolPolicy:
    match request.tool_choice:
        case None:
            return ToolPolicy()
        case NoToolChoice():
            return ToolPolicy(ToolChoice.NONE)
        case NamedToolChoice() as choice:
            return ToolPolicy(ToolChoice.TOOL, choice.name, parallel=not choice.disable_parallel_tool_use)
        case AutoToolChoice() | AnyToolChoice() as choice:
            return ToolPolicy(ToolChoice(choice.type), parallel=not choice.disable_parallel_tool_use)


def _thinking_policy(request: PromptRequest) -> ThinkingPolicy:
    """Without a word about it, there is no reasoning: that is what the API does (THK-1)."""
    effort = request.output_config.effort if request.output_config else None
    thinking = request.thinking
    if not isinstance(thinking, ThinkingEnabled | ThinkingAdaptive):
        return ThinkingPolicy(effort=effort)
    return ThinkingPolicy(
        enabled=True,
        budget=thinking.budget_tokens if isinstance(thinking, ThinkingEnabled) else None,
        display=ThinkingDisplay.OMITTED if thinking.display == "omitted" else ThinkingDisplay.FULL,
        effort=effort,
    )
