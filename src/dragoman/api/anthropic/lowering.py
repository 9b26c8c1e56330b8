"""Lowers a Messages API request to the neutral conversation.

Turns are never reordered, and nothing is dropped silently: images, documents and search results become attachments
(`attachments`), which `dragoman.media` replaces by what the model reads, blocks of another server's tools become text
(`server_tools`), and a tool that is added or removed in a message is described there (`tool_search`). Results are in the order
of their calls. Requests have passed `rules` before.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Final

from dragoman.api.anthropic.attachments import attachment
from dragoman.api.anthropic.blocks import (
    TOOL_CHANGES,
    BrowserStateBlock,
    CompactionBlock,
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
from dragoman.api.anthropic.citations import cited_passages
from dragoman.api.anthropic.compaction import summary_of
from dragoman.api.anthropic.declared_server_tools import declared_server_tools
from dragoman.api.anthropic.defined_tools import DEFINED
from dragoman.api.anthropic.offer import AnyToolModel, changes_in, offer_of
from dragoman.api.anthropic.own_calls import own_call, own_result
from dragoman.api.anthropic.request import (
    AnyToolChoice,
    AutoToolChoice,
    Message,
    MessagesRequest,
    NamedToolChoice,
    NoToolChoice,
    PromptRequest,
    ThinkingAdaptive,
    ThinkingEnabled,
)
from dragoman.api.anthropic.server_tools import server_tool_text
from dragoman.api.anthropic.tools import CustomTool, DefinedTool, ServerTool
from dragoman.api.base import WireModel
from dragoman.api.cited_texts import join_cited, without_citations
from dragoman.api.rounds import merged, pages_in, split
from dragoman.conversation.call_order import in_call_order
from dragoman.conversation.citations import CitedText
from dragoman.conversation.compaction import Compaction, summary_turn
from dragoman.conversation.once import once
from dragoman.conversation.signature import recover
from dragoman.conversation.tool_texts import added, described, removed
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
    TokenReport,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
    join_texts,
)

_CALLS: Final = frozenset({ToolUseBlock, ServerToolBlock})


def lower(request: PromptRequest, betas: frozenset[str] = frozenset()) -> Conversation:
    """The conversation of a request. `betas` are the names in `anthropic-beta`."""
    offer = offer_of(request, betas)
    turns = tuple(_turns(request))
    attached = sum(1 for _ in request.attachments()) + pages_in(turns)
    if not attached:
        turns = tuple(map(without_citations, turns))
    dialogue = Dialogue(
        turns=turns,
        system=_system(request),
        tools=_tools(offer.top),
        attachments=attached,
        newest=_newest(request) if attached else "",
        notes=_notes(request),
    )
    policy = AnswerPolicy(
        tools=_tools(offer.callable.values()),
        server_tools=declared_server_tools(request),
        deferred=_tools(offer.searchable),
        tool_policy=_tool_policy(request),
        thinking=_thinking_policy(request),
        sampling=Sampling(request.temperature, request.top_p, request.top_k),
        stop_sequences=tuple(request.stop_sequences or ()),
        max_tokens=request.max_tokens if isinstance(request, MessagesRequest) else 0,
        output=request.format.schema_ if request.format else None,
        report=request.report if isinstance(request, MessagesRequest) else TokenReport(),
    )
    return Conversation(dialogue, policy)


def _newest(request: PromptRequest) -> str:
    """The beginning of the paths in the newest user message; empty if there is none."""
    roles = [message.role for message in request.messages]
    return f"messages.{len(roles) - 1 - roles[::-1].index('user')}." if "user" in roles else ""


def _notes(request: PromptRequest) -> Sequence[str]:
    """Notes about what is ignored, and about tools that are added or removed in messages."""
    kinds = [block.type for _, block in request.walk(TOOL_CHANGES) if isinstance(block, ToolAdditionBlock | ToolRemovalBlock)]
    counts = f"{kinds.count('tool_addition')} added, {kinds.count('tool_removal')} removed"
    changed = (f"tools changed in messages: {counts}",) if kinds else ()
    edits = request.context_management.ignored if request.context_management else ()
    return (*changed, *edits)


def _system(request: PromptRequest) -> Sequence[Text]:
    if isinstance(request.system, str):
        return (Text(request.system),) if request.system else ()
    return tuple(Text(block.text) for block in request.system or () if block.text)


def _tools(tools: Iterable[AnyToolModel]) -> Sequence[Tool]:
    """The tools that the client runs."""
    return tuple(_tool(tool) for tool in tools if not isinstance(tool, ServerTool))


@once
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
    """The turns: an answer with results of server tools is several, and adjacent ones of a role are one (REQ-6)."""
    calls = [call for _, block in request.walk(_CALLS) if (call := _call(block))]
    names = {call.id: call.name for call in calls}
    places = {identifier: place for place, identifier in enumerate(names)}
    own = {call.id: call.name for call in calls if isinstance(call, ToolCall)}
    for turn in merged(part for message in _messages(request, names, own) for part in split(message, own)):
        yield Turn(turn.role, in_call_order(turn.content, places))


def _call(block: WireModel) -> ToolUseBlock | ToolCall | None:
    """The call in a block: one of the client's tools, or one of this server's, which is a `ToolCall`."""
    if type(block) is ToolUseBlock:
        return block
    return own_call(block) if type(block) is ServerToolBlock else None


def _messages(request: PromptRequest, names: Mapping[str, str], own: Mapping[str, str]) -> Iterator[Turn]:
    """One turn for each group of adjacent messages with the same role. `names` are the called tools, `own` our own ones."""
    tools = _declared(request)  # so far
    summary = summary_of(request)
    if summary is not None:
        carried = _carried(request.messages[: summary.message + 1], tools)
        yield summary_turn(summary.content, carried)
    kept = islice(enumerate(request.messages), summary.message if summary else 0, None)
    for role, run in groupby(kept, key=lambda entry: entry[1].role):
        content: list[Content] = []
        for index, message in run:
            content.extend(_plain_text(message))
            for place, block in enumerate(message.blocks):
                if summary is not None and (index, place) <= (summary.message, summary.block):
                    continue
                path = f"messages.{index}.content.{place}"
                if type(block) is ServerToolBlock:
                    content.extend(_of_server(block, own_result(block, own, path, tools, citable=request.format is None)))
                else:
                    content.extend(_content(block, path, names, tools))
        if role == "assistant":
            content = [*join_cited(content)]
        if content or summary is None:
            yield Turn(Role(role), tuple(content))


def compaction_of(request: PromptRequest) -> Compaction | None:
    """The compaction that a request asks for, with the texts for the tools that its messages add or remove.

    There is none if a summary is all that there is: it would be summarized again and again.
    """
    if isinstance(request, MessagesRequest) and request.compaction:
        return Compaction.at_once(request.compaction.instructions or "", request.max_tokens)
    asked = request.context_management.compact if request.context_management else None
    blocks = request.messages[-1].blocks if request.messages else ()
    if blocks and isinstance(blocks[-1], CompactionBlock):
        return None
    return asked.neutral(_carried(request.messages, _declared(request))) if asked else None


def _declared(request: PromptRequest) -> dict[str, Tool]:
    return {tool.name or "": _tool(tool) for tool in request.tools or () if not isinstance(tool, ServerTool)}


def _carried(messages: Sequence[Message], tools: dict[str, Tool]) -> Sequence[str]:
    """The texts for the tools that these messages add, remove or refer to, the last one for each.

    Tools that are defined there are added to `tools`.
    """
    texts: dict[str, str] = {}
    for block in (block for message in messages for block in message.blocks):
        for change in changes_in(block):
            if isinstance(change, ToolReferenceBlock):
                texts[change.tool_name] = added(change.tool_name, tools)
            else:
                text = _change_text(change, tools)
                texts[_changed_name(change)] = text
    return list(texts.values())


def _changed_name(change: ToolAdditionBlock | ToolRemovalBlock) -> str:
    return (change.tool.definition.name if isinstance(change.tool, ToolDefinition) else change.tool.name) or ""


def _of_server(block: ServerToolBlock, result: ToolResult | None) -> Iterator[Content]:
    """A call or a result of this server as such, and what another server did as text (IN-12)."""
    if part := own_call(block) or result:
        yield part
    elif words := server_tool_text(block):
        yield Text(words)


def _content(block: ContentBlock, path: str, names: Mapping[str, str], tools: dict[str, Tool]) -> Iterator[Content]:
    match block:
        case TextBlock():
            yield _text(block)
        case ThinkingBlock():
            yield from _thinking(block)
        case RedactedThinkingBlock():
            pass  # encrypted by another server: not readable for a model (IN-11)
        case ToolUseBlock():
            yield _client_call(block)
        case ToolResultBlock():
            yield _tool_result(block, names.get(block.tool_use_id, ""), path, tools)
        case ToolAdditionBlock() | ToolRemovalBlock():
            yield Text(_change_text(block, tools))
        case ServerToolBlock() | BrowserStateBlock():
            if words := server_tool_text(block):
                yield Text(words)
        case CompactionBlock():
            pass  # without content, or before another one
        case ImageBlock() | DocumentBlock() | SearchResultBlock():
            yield attachment(block, path)


@once
def _plain_text(message: Message) -> Sequence[Text]:
    """The content of a message that is a text and not a list."""
    return (Text(message.content),) if isinstance(message.content, str) and message.content else ()


@once
def _text(block: TextBlock) -> Text | CitedText:
    cited = cited_passages(block.citations)
    return CitedText([(block.text, cited)]) if cited else Text(block.text)


@once
def _thinking(block: ThinkingBlock) -> Sequence[Thinking]:
    text = block.thinking or recover(block.signature)  # hidden reasoning is contained in the signature (THK-9)
    return (Thinking(text),) if text else ()


@once
def _client_call(block: ToolUseBlock) -> ToolCall:
    return ToolCall(block.id, block.name, block.input)


def _tool_result(block: ToolResultBlock, name: str, path: str, tools: Mapping[str, Tool]) -> ToolResult:
    """The result of a call of the tool `name`. One that is only text is the same value in later requests."""
    kept = _text_results(block)
    if name in kept:
        return kept[name]
    kept.clear()
    result = ToolResult(block.tool_use_id, name, _result(block, f"{path}.content", tools), bool(block.is_error))
    if not isinstance(block.content, list) or all(type(inner) is TextBlock for inner in block.content):
        kept[name] = result
    return result


@once
def _text_results(_block: ToolResultBlock) -> dict[str, ToolResult]:
    """The value that a result had last, by the name of the called tool, which another block has."""
    return {}


def _change_text(block: ToolAdditionBlock | ToolRemovalBlock, tools: dict[str, Tool]) -> str:
    """The text for a tool that is added or removed. A tool that is defined here is added to `tools`."""
    match block.tool:
        case ToolDefinition(definition=definition):
            assert not isinstance(definition, ServerTool)  # refused by `rules` before
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
