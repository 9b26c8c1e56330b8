"""Lowers a chat completions request to the neutral conversation.

Reasoning is on unless the request turns it off (`reasoning_effort: none`), as clients of this API expect. If the last message
is the assistant's, the model continues it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import dropwhile, groupby

from dragoman.api.openai.parts import (
    Attached,
    FilePart,
    ImagePart,
    MediaPart,
    OtherPart,
    RefusalPart,
    TextPart,
    ThinkingPart,
    parts_of,
)
from dragoman.api.openai.request import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    FunctionMessage,
    JsonFormat,
    NamedChoice,
    SchemaFormat,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from dragoman.conversation.call_arguments import UNREAD, called_with
from dragoman.conversation.types import (
    AnswerPolicy,
    Attachment,
    Content,
    Conversation,
    Dialogue,
    JsonObject,
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

UNLIMITED = 1 << 31
"""The `max_tokens` of a request without a limit, in tokens: larger than any context window."""

_WORD = re.compile(r"[\w.-]{1,40}")
_CHOICES = {None: ToolChoice.AUTO, "auto": ToolChoice.AUTO, "required": ToolChoice.ANY, "none": ToolChoice.NONE}


def lower_chat(request: ChatRequest) -> Conversation:
    """The conversation of a request. Requests have passed `rules` before."""
    messages = list(enumerate(request.messages))
    rest = list(dropwhile(_is_system, messages)) or messages
    top = [message for _, message in messages[: len(messages) - len(rest)] if isinstance(message, SystemMessage)]
    tools = tuple(_tools(request))
    attached = _attachments(request.messages)
    dialogue = Dialogue(
        turns=tuple(_turns(rest)),
        system=tuple(Text(text) for message in top for text in _texts(message.content)),
        tools=tools,
        attachments=attached,
        newest=_newest(request.messages) if attached else "",
        notes=tuple(_notes(request.messages)),
    )
    policy = AnswerPolicy(
        tools=tools,
        tool_policy=_tool_policy(request),
        thinking=_thinking_policy(request),
        sampling=sampling(request),
        stop_sequences=request.stops,
        max_tokens=request.max_completion_tokens or request.max_tokens or UNLIMITED,
        output=_output(request),
    )
    return Conversation(dialogue, policy)


def sampling(request: ChatRequest | CompletionRequest) -> Sampling:
    """The sampling parameters of a request of either endpoint."""
    return Sampling(
        request.temperature,
        request.top_p,
        request.top_k,
        request.seed,
        request.presence_penalty,
        request.frequency_penalty,
        request.min_p,
        request.repetition_penalty,
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
                calls |= {call.id: call.function.name for call in message.calls}
            content += _content(message, f"messages.{index}.content", calls)
        yield Turn(role, tuple(_in_call_order(content, list(calls))))


def _content(message: ChatMessage, path: str, calls: dict[str, str]) -> Iterator[Content]:
    match message:
        case SystemMessage():
            yield from map(Text, _texts(message.content))
        case UserMessage():
            yield from _read(message.content, path)
        case AssistantMessage():
            if message.thought:
                yield Thinking(message.thought)
            yield from _read(message.content or message.refusal or "", path)
            for call in message.calls:
                yield ToolCall(call.id, call.function.name, called_with(call.function.arguments))
        case ToolMessage() | FunctionMessage():
            content = join_texts(_read(message.content or "", path))
            yield ToolResult(message.tool_call_id, calls[message.tool_call_id], content, is_error=False)


def _texts(content: str | Sequence[TextPart]) -> Iterator[str]:
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return filter(None, texts)


def _read(content: str | Sequence[TextPart | RefusalPart | ThinkingPart | Attached], path: str) -> Iterator[Text | Attachment]:
    """The texts and attachments of the content, without reasoning."""
    if isinstance(content, str):
        yield from (Text(content),) if content else ()
        return
    for place, part in enumerate(content):
        match part:
            case TextPart(text=text) | RefusalPart(refusal=text):
                if text:
                    yield Text(text)
            case ThinkingPart():
                pass
            case ImagePart() | FilePart():
                yield part.attachment(f"{path}.{place}")
            case MediaPart() | OtherPart():
                kind = part.kind if _WORD.fullmatch(part.kind) else "part"
                yield Text(f"[{kind} omitted: this model cannot take it]")


def _attachments(messages: Sequence[ChatMessage]) -> int:
    parts = (part for message in messages for part in parts_of(message.content))
    return sum(isinstance(part, ImagePart | FilePart) for part in parts)


def _newest(messages: Sequence[ChatMessage]) -> str:
    """The beginning of the paths in the newest message of the user or of a tool; empty if there is none."""
    asking = [index for index, message in enumerate(messages) if not isinstance(message, SystemMessage | AssistantMessage)]
    return f"messages.{asking[-1]}." if asking else ""


def _notes(messages: Sequence[ChatMessage]) -> Iterator[str]:
    """Notes about what the model does not get, or gets in another form."""
    parts = [part for message in messages for part in parts_of(message.content) if isinstance(part, MediaPart | OtherPart)]
    for kind, count in Counter(part.kind for part in parts).items():
        yield f"omitted: {count} {kind[:40]} part{'s' * (count > 1)} that the model cannot take"
    calls = [call.function for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    unread = sum(UNREAD in called_with(call.arguments) for call in calls)
    if unread:
        yield f"kept as text: the arguments of {unread} call{'s' * (unread > 1)}, not a JSON object"
    if any(message.name for message in messages if isinstance(message, SystemMessage | UserMessage | AssistantMessage)):
        yield "ignored: names of speakers"


def _in_call_order(content: Sequence[Content], order: Sequence[str]) -> Iterator[Content]:
    """Sort results by the order of their calls: where a template has no ids, only the order links a result to its call."""
    places = {identifier: place for place, identifier in enumerate(order)}
    in_order = iter(sorted((part for part in content if isinstance(part, ToolResult)), key=lambda part: places[part.call_id]))
    for part in content:
        yield next(in_order) if isinstance(part, ToolResult) else part


def _tools(request: ChatRequest) -> Iterator[Tool]:
    for tool in request.tools or ():
        function = tool.function
        schema = {"type": "object", "properties": {}, **(function.parameters or {})}
        yield Tool(function.name, function.description or "", schema, bool(function.strict))


def _tool_policy(request: ChatRequest) -> ToolPolicy:
    parallel = request.parallel_tool_calls is not False
    choice = request.tool_choice
    if isinstance(choice, NamedChoice):
        return ToolPolicy(ToolChoice.TOOL, choice.function.name, parallel=parallel)
    return ToolPolicy(_CHOICES[choice], parallel=parallel)


def _thinking_policy(request: ChatRequest) -> ThinkingPolicy:
    effort = request.reasoning_effort
    switches = request.chat_template_kwargs
    asked = [switches.enable_thinking, switches.thinking] if switches else []
    enabled = effort != "none" and False not in asked
    level = "low" if effort == "minimal" else effort
    return ThinkingPolicy(enabled=enabled, effort=level if enabled else None)


def _output(request: ChatRequest) -> JsonObject | None:
    match request.response_format:
        case JsonFormat():
            return {"type": "object"}
        case SchemaFormat() as schema:
            return schema.json_schema.schema_
        case _:
            return None
