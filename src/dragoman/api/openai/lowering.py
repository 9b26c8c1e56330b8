"""Lowers a chat completions request to the neutral conversation.

Reasoning is on unless the request turns it off (`reasoning_effort: none`), as clients of this API expect. If the last message
is the assistant's, the model continues it.
"""

from collections.abc import Iterator, Sequence
from itertools import dropwhile, groupby

from dragoman.api.openai.chat_tools import AllowedTools, CustomChoice, FunctionChoice, ToolName
from dragoman.api.openai.content import UNLIMITED, attachments, omitted, read, texts, thinking_policy, unread
from dragoman.api.openai.parts import parts_of
from dragoman.api.openai.request import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    FunctionMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from dragoman.api.openai.request import ToolCall as FunctionToolCall
from dragoman.conversation.call_order import in_call_order
from dragoman.conversation.types import (
    AnswerPolicy,
    Content,
    Conversation,
    Dialogue,
    Role,
    Sampling,
    Text,
    Thinking,
    ThinkingPolicy,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
    join_texts,
)

_CHOICES = {None: ToolChoice.AUTO, "auto": ToolChoice.AUTO, "required": ToolChoice.ANY, "none": ToolChoice.NONE}


def lower_chat(request: ChatRequest) -> Conversation:
    """The conversation of a request. Requests have passed `rules` before."""
    messages = list(enumerate(request.messages))
    rest = list(dropwhile(_is_system, messages)) or messages
    top = [message for _, message in messages[: len(messages) - len(rest)] if isinstance(message, SystemMessage)]
    tools = tuple(tool.neutral for tool in request.offered)
    attached = attachments(_parts(request.messages))
    dialogue = Dialogue(
        turns=tuple(_turns(rest)),
        system=tuple(Text(text) for message in top for text in texts(message.content)),
        tools=tools,
        attachments=attached,
        newest=_newest(request.messages) if attached else "",
        notes=tuple(_notes(request.messages)),
    )
    policy = AnswerPolicy(
        tools=tuple(_callable(request, tools)),
        tool_policy=_tool_policy(request),
        thinking=_thinking_policy(request),
        sampling=sampling(request),
        stop_sequences=request.stops,
        max_tokens=request.max_completion_tokens or request.max_tokens or UNLIMITED,
        output=request.schema_wanted[0],
        report=request.report,
    )
    return Conversation(dialogue, policy)


def sampling(request: ChatRequest | CompletionRequest) -> Sampling:
    """The sampling parameters of a request of either endpoint."""
    return Sampling(
        request.temperature,
        request.top_p,
        None if request.top_k is None else max(request.top_k, 0),  # 0 and -1: no limit
        request.seed,
        request.presence_penalty,
        request.frequency_penalty,
        request.min_p,
        request.repetition_penalty,
        request.logit_bias or None,
    )


def _is_system(entry: tuple[int, ChatMessage]) -> bool:
    return isinstance(entry[1], SystemMessage)


def _role(entry: tuple[int, ChatMessage]) -> Role:
    """The role of a message; results belong to the user."""
    match entry[1]:
        case SystemMessage():
            return Role.SYSTEM
        case AssistantMessage():
            return Role.ASSISTANT
        case UserMessage() | ToolMessage() | FunctionMessage():
            return Role.USER


def _turns(messages: Sequence[tuple[int, ChatMessage]]) -> Iterator[Turn]:
    """One turn for each group of adjacent messages with the same role."""
    calls: dict[str, str] = {}  # names by call id; a later call with the same id replaces an earlier one
    for role, run in groupby(messages, key=_role):
        content: list[Content] = []
        for index, message in run:
            if isinstance(message, AssistantMessage):
                calls |= {call.id: call.name for call in message.calls}
            content += _content(message, f"messages.{index}.content", calls)
        yield Turn(role, in_call_order(content, {identifier: place for place, identifier in enumerate(calls)}))


def _content(message: ChatMessage, path: str, calls: dict[str, str]) -> Iterator[Content]:
    match message:
        case SystemMessage():
            yield from map(Text, texts(message.content))
        case UserMessage():
            yield from read(message.content, path)
        case AssistantMessage():
            if message.thought:
                yield Thinking(message.thought)
            yield from read(message.content or message.refusal or "", path)
            for call in message.calls:
                yield ToolCall(call.id, call.name, call.arguments)
        case ToolMessage() | FunctionMessage():
            content = join_texts(read(message.content or "", path))
            yield ToolResult(message.tool_call_id, calls[message.tool_call_id], content, is_error=False)


def _parts(messages: Sequence[ChatMessage]) -> Iterator[object]:
    return (part for message in messages for part in parts_of(message.content))


def _newest(messages: Sequence[ChatMessage]) -> str:
    """The beginning of the paths in the newest message of the user or of a tool; empty if there is none."""
    asking = [index for index, message in enumerate(messages) if not isinstance(message, SystemMessage | AssistantMessage)]
    return f"messages.{asking[-1]}." if asking else ""


def _notes(messages: Sequence[ChatMessage]) -> Iterator[str]:
    """Notes about what the model does not get, or gets in another form."""
    yield from omitted(_parts(messages))
    calls = [call for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    yield from unread(call.function.arguments for call in calls if isinstance(call, FunctionToolCall))
    if any(message.name for message in messages if isinstance(message, SystemMessage | UserMessage | AssistantMessage)):
        yield "ignored: names of speakers"


def _callable(request: ChatRequest, tools: Sequence[Tool]) -> Sequence[Tool]:
    """The tools that the model may call."""
    if not isinstance(request.tool_choice, AllowedTools):
        return tools
    names = set(request.tool_choice.names)
    return [tool for tool in tools if tool.name in names]


def _tool_policy(request: ChatRequest) -> ToolPolicy:
    """The tool choice; an answer in the older form has one call."""
    parallel = request.parallel_tool_calls is not False and request.functions is None
    match request.function_call if request.functions else request.tool_choice:
        case FunctionChoice(name=name) | CustomChoice(name=name) | ToolName(name=name):
            return ToolPolicy(ToolChoice.TOOL, name, parallel=parallel)
        case AllowedTools(allowed_tools=allowed):
            return ToolPolicy(_CHOICES[allowed.mode], parallel=parallel)
        case choice:
            return ToolPolicy(_CHOICES[choice], parallel=parallel)


def _thinking_policy(request: ChatRequest) -> ThinkingPolicy:
    """Whether and how much the model reasons; one of the switches suffices to turn it off."""
    switches = [request.enable_thinking]
    if request.chat_template_kwargs:
        switches += [request.chat_template_kwargs.enable_thinking, request.chat_template_kwargs.thinking]
    if request.reasoning:
        switches.append(request.reasoning.enabled)
    if request.thinking:
        switches.append(request.thinking.type != "disabled")
    effort = request.reasoning_effort or (request.reasoning.effort if request.reasoning else None)
    return thinking_policy(effort, off=False in switches)
