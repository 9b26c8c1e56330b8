"""Lowers a Messages API request to the neutral conversation.

Turns are never reordered, and nothing is dropped silently: images, documents and search results become attachments
(`attachments`), which `dragoman.media` replaces by what the model reads, blocks of another server's tools become text
(`server_tools`), and a tool that is added or removed in a message is described there (`tool_search`). Results are in the order
of their calls. Requests have passed `rules` before.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dragoman.api.anthropic.attachments import attachment, notes_on
from dragoman.api.anthropic.blocks import (
    AttachedBlock,
    BrowserStateBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    McpToolReference,
    RedactedThinkingBlock,
    ResultContent,
    SearchResultBlock,
    ServerToolBlock,
    TextBlock,
    ThinkingBlock,
    ToolAdditionBlock,
    ToolDefinition,
    ToolReference,
    ToolReferenceBlock,
    ToolRemovalBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from dragoman.api.anthropic.defined_tools import DEFINED
from dragoman.api.anthropic.offer import offer_of
from dragoman.api.anthropic.request import (
    AnyToolChoice,
    AutoToolChoice,
    MessagesRequest,
    NamedToolChoice,
    NoToolChoice,
    PromptRequest,
    ThinkingAdaptive,
    ThinkingEnabled,
)
from dragoman.api.anthropic.server_tools import server_tool_text
from dragoman.api.anthropic.tool_search import added, described, removed
from dragoman.api.anthropic.tools import CustomTool, DefinedTool
from dragoman.conversation.call_order import in_call_order
from dragoman.conversation.signature import recover
from dragoman.conversation.types import (
    AnswerPolicy,
    Attachment,
    Content,
    Conversation,
    Dialogue,
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
    join_texts,
)


def lower(request: PromptRequest, betas: frozenset[str] = frozenset()) -> Conversation:
    """The conversation of a request. `betas` are the names in `anthropic-beta`."""
    offer = offer_of(request, betas)
    at_top = {id(tool): _tool(tool) for tool in offer.top}
    attached = [block for _, block in request.attachments()]
    dialogue = Dialogue(
        turns=tuple(_turns(request)),
        system=_system(request),
        tools=tuple(at_top.values()),
        attachments=len(attached),
        newest=_newest(request) if attached else "",
        notes=_notes(request, attached),
    )
    policy = AnswerPolicy(
        tools=tuple(at_top.get(id(tool)) or _tool(tool) for tool in offer.callable.values()),
        tool_policy=_tool_policy(request),
        thinking=_thinking_policy(request),
        sampling=Sampling(request.temperature, request.top_p, request.top_k),
        stop_sequences=tuple(request.stop_sequences or ()),
        max_tokens=request.max_tokens if isinstance(request, MessagesRequest) else 0,
        output=request.format.schema_ if request.format else None,
    )
    return Conversation(dialogue, policy)


def _newest(request: PromptRequest) -> str:
    """The beginning of the paths in the newest user message; empty if there is none."""
    roles = [message.role for message in request.messages]
    return f"messages.{len(roles) - 1 - roles[::-1].index('user')}." if "user" in roles else ""


def _notes(request: PromptRequest, attached: Sequence[AttachedBlock]) -> Sequence[str]:
    """Notes about what is ignored, and about tools that are added or removed in messages."""
    kinds = [block.type for _, block in request.walk() if isinstance(block, ToolAdditionBlock | ToolRemovalBlock)]
    counts = f"{kinds.count('tool_addition')} added, {kinds.count('tool_removal')} removed"
    changed = (f"tools changed in messages: {counts}",) if kinds else ()
    return (*notes_on(attached), *changed)


def _system(request: PromptRequest) -> Sequence[Text]:
    if isinstance(request.system, str):
        return (Text(request.system),) if request.system else ()
    return tuple(Text(block.text) for block in request.system or () if block.text)


def _tool(tool: CustomTool | DefinedTool) -> Tool:
    """The neutral tool. Its examples follow its description, since templates have no field for them (TOOL-12)."""
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


def _turns(request: PromptRequest) -> Iterator[Turn]:
    """One turn for each group of adjacent messages with the same role (REQ-6)."""
    names = {
        block.id: block.name for _, block in request.walk() if isinstance(block, ToolUseBlock)
    }  # of the called tools, by call id
    tools = {tool.name or "": _tool(tool) for tool in request.tools or ()}  # declared so far
    places = {identifier: place for place, identifier in enumerate(names)}
    for role, run in groupby(enumerate(request.messages), key=lambda entry: entry[1].role):
        content: list[Content] = []
        for index, message in run:
            if isinstance(message.content, str) and message.content:
                content.append(Text(message.content))
            for place, block in enumerate(message.blocks):
                content.extend(_content(block, f"messages.{index}.content.{place}", names, tools))
        yield Turn(Role(role), in_call_order(content, places))


def _content(block: ContentBlock, path: str, names: Mapping[str, str], tools: dict[str, Tool]) -> Iterator[Content]:
    match block:
        case TextBlock():
            yield Text(block.text)
        case ThinkingBlock():
            text = block.thinking or recover(block.signature)  # hidden reasoning is contained in the signature (THK-9)
            if text:
                yield Thinking(text)
        case RedactedThinkingBlock():
            pass  # encrypted by another server: not readable for a model (IN-11)
        case ToolUseBlock():
            yield ToolCall(block.id, block.name, block.input)
        case ToolResultBlock():
            name = names.get(block.tool_use_id, "")
            yield ToolResult(block.tool_use_id, name, _result(block, f"{path}.content", tools), bool(block.is_error))
        case ToolAdditionBlock() | ToolRemovalBlock():
            yield Text(_change_text(block, tools))
        case ServerToolBlock() | BrowserStateBlock():
            if words := server_tool_text(block):
                yield Text(words)
        case ImageBlock() | DocumentBlock() | SearchResultBlock():
            yield attachment(block, path)


def _change_text(block: ToolAdditionBlock | ToolRemovalBlock, tools: dict[str, Tool]) -> str:
    """The text for a tool that is added or removed. A tool that is defined here is added to `tools`."""
    match block.tool:
        case ToolDefinition(definition=definition):
            tool = _tool(definition)
            tools[tool.name] = tool
            name = tool.name
        case ToolReference(name=name):
            pass
        case McpToolReference():  # refused by `rules` before
            name = block.tool.name or block.tool.server_name
    return added(name, tools) if isinstance(block, ToolAdditionBlock) else removed(name)


def _result(block: ToolResultBlock, path: str, tools: Mapping[str, Tool]) -> Sequence[Text | Attachment]:
    if block.content is None or isinstance(block.content, str):
        return (Text(block.content),) if block.content else ()
    return join_texts(_readable(inner, f"{path}.{index}", tools) for index, inner in enumerate(block.content))


def _readable(block: ResultContent, path: str, tools: Mapping[str, Tool]) -> Text | Attachment:
    match block:
        case TextBlock():
            return Text(block.text)
        case ToolReferenceBlock():
            return Text(described(block.tool_name, tools))
        case BrowserStateBlock():
            return Text(server_tool_text(block))
        case ImageBlock() | DocumentBlock() | SearchResultBlock():
            return attachment(block, path)


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
    """The thinking policy. Without a `thinking` field there is no reasoning, as in the API (THK-1)."""
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
