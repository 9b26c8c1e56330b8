"""Lowers a request of the Responses API to the neutral conversation.

Reasoning is on unless the request turns it off (`reasoning.effort: none`). If the last item is a message of the assistant, the
model continues it. Requests have passed `rules` before.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile, groupby
from typing import Any

from dragoman.api.openai.content import UNLIMITED, attachments, omitted, read, texts, thinking_policy, unread
from dragoman.api.openai.request import JsonFormat
from dragoman.api.openai.responses.items import (
    Call,
    CustomToolCall,
    FunctionCall,
    Message,
    Output,
    ReasoningItem,
    is_assistant,
    parts_of_items,
)
from dragoman.api.openai.responses.request import PromptRequest, ResponsesRequest, SchemaFormat
from dragoman.api.openai.responses.tools import (
    INPUT,
    AllowedTools,
    HostedTool,
    NamedChoice,
    Offered,
    ToolName,
    chosen,
    offered,
)
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.call_order import in_call_order
from dragoman.conversation.types import (
    AnswerPolicy,
    Content,
    Conversation,
    Dialogue,
    JsonObject,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
    join_texts,
)

_KNOWN_INCLUDES = frozenset(
    {"reasoning.encrypted_content", "message.input_image.image_url", "file_search_call.results", "web_search_call.results"}
    | {"web_search_call.action.sources", "computer_call_output.output.image_url", "code_interpreter_call.outputs"}
)
"""Fields that are in every answer, or that belong to items which no answer has here."""


def lower(request: PromptRequest) -> Conversation:
    """The conversation of a request."""
    items = list(enumerate(request.items))
    rest = list(dropwhile(_is_system, items)) or items
    top = [item for _, item in items[: len(items) - len(rest)]]
    tools = list(offered(request.tools))
    attached = attachments(part for *_, part in parts_of_items(request.items))
    instructions = (Text(request.instructions),) if request.instructions else ()
    dialogue = Dialogue(
        turns=tuple(_turns(request, rest)),
        system=(*instructions, *(Text(text) for message in top for text in texts(message.content))),
        tools=tuple(tool.neutral for tool in tools),
        attachments=attached,
        newest=_newest(request) if attached else "",
        notes=tuple(_notes(request)),
    )
    return Conversation(dialogue, _policy(request, tools))


def _policy(request: PromptRequest, tools: Sequence[Offered]) -> AnswerPolicy:
    policy, callable_tools = _tool_policy(request, tools)
    generating = request if isinstance(request, ResponsesRequest) else None
    return AnswerPolicy(
        tools=callable_tools,
        tool_policy=policy,
        thinking=thinking_policy(request.reasoning.effort if request.reasoning else None),
        sampling=Sampling(generating.temperature, generating.top_p) if generating else Sampling(),
        max_tokens=(generating.max_output_tokens or UNLIMITED) if generating else 0,
        output=_output(request),
    )


def _is_system(entry: tuple[int, Any]) -> bool:
    return isinstance(entry[1], Message) and entry[1].is_system


def _role(entry: tuple[int, Any]) -> Role:
    """The role of an item; outputs of calls belong to the user."""
    if _is_system(entry):
        return Role.SYSTEM
    return Role.ASSISTANT if is_assistant(entry[1]) else Role.USER


def _turns(request: PromptRequest, items: Sequence[tuple[int, Any]]) -> Iterator[Turn]:
    """One turn for each group of adjacent items with the same role."""
    calls: dict[str, str] = {}  # names by call id; a later call with the same id replaces an earlier one
    for role, run in groupby(items, key=_role):
        content: list[Content] = []
        for index, item in run:
            content += _content(item, request.path(index), calls)
        yield Turn(role, in_call_order(content, {identifier: place for place, identifier in enumerate(calls)}))


def _content(item: Any, path: str, calls: dict[str, str]) -> Iterator[Content]:
    match item:
        case Message(content=content) if item.is_system:
            yield from map(Text, texts(content))
        case Message(content=content):
            yield from read(content, f"{path}.content")
        case ReasoningItem(text=text):
            if text:
                yield Thinking(text)
        case Call():
            name = calls[item.call_id] = ToolName(item.name, item.namespace).flat
            yield ToolCall(item.call_id, name, _arguments(item))
        case Output(output=output):
            result = join_texts(read(output or "", f"{path}.output"))
            yield ToolResult(item.call_id, calls[item.call_id], result, is_error=False)


def _arguments(call: Call) -> JsonObject:
    match call:
        case CustomToolCall(input=text):
            return {INPUT: text}
        case FunctionCall(arguments=arguments):
            return called_with(arguments)
        case _:
            raise TypeError(type(call).__name__)


def _newest(request: PromptRequest) -> str:
    """The beginning of the paths in the newest message of the user or output of a call; empty if there is none."""
    items = enumerate(request.items)
    asking = [index for index, item in items if isinstance(item, Output) or getattr(item, "role", "") == "user"]
    return f"{request.path(asking[-1])}." if asking else ""


def _notes(request: PromptRequest) -> Iterator[str]:
    """Notes about what the model does not get, or gets in another form."""
    yield from omitted(part for *_, part in parts_of_items(request.items))
    yield from unread(item.arguments for item in request.items if isinstance(item, FunctionCall))
    ignored = [f"the tool {tool.type[:40]}" for tool in request.tools or () if isinstance(tool, HostedTool)]
    if request.text and request.text.verbosity not in (None, "medium"):
        ignored.append("text.verbosity")
    if request.truncation == "auto":
        ignored.append("truncation")
    if isinstance(request, ResponsesRequest):
        ignored += [f"include {name[:40]}" for name in request.include or () if name not in _KNOWN_INCLUDES]
    if ignored:
        yield f"ignored: {', '.join(ignored)}"


def _tool_policy(request: PromptRequest, tools: Sequence[Offered]) -> tuple[ToolPolicy, Sequence[Tool]]:
    """The tool choice, and the tools that may be called."""
    parallel = request.parallel_tool_calls is not False
    names = [tool.name for tool in tools]
    every = tuple(tool.neutral for tool in tools)
    match request.tool_choice:
        case NamedChoice() as choice:
            name = chosen(choice, names)
            return ToolPolicy(ToolChoice.TOOL, name.flat if name else None, parallel=parallel), every
        case AllowedTools(mode=mode, tools=allowed):
            wanted = {name.flat for choice in allowed if (name := chosen(choice, names))}
            some = tuple(tool for tool in every if tool.name in wanted)
            return ToolPolicy(_CHOICES[mode], parallel=parallel), some
        case choice:
            return ToolPolicy(_CHOICES[choice or "auto"], parallel=parallel), every


_CHOICES: Mapping[str, ToolChoice] = {"auto": ToolChoice.AUTO, "required": ToolChoice.ANY, "none": ToolChoice.NONE}


def _output(request: PromptRequest) -> JsonObject | None:
    match request.text.format if request.text else None:
        case JsonFormat():
            return {"type": "object"}
        case SchemaFormat(schema_=schema):
            return schema
        case _:
            return None
