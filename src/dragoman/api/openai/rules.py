"""Rules across fields of the OpenAI-compatible API. Each rule raises `InvalidRequest`."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from dragoman.api.base import unknown_fields
from dragoman.api.openai.chat_tools import AllowedTools, Custom, CustomChoice, Function, FunctionChoice, ToolName
from dragoman.api.openai.parts import MediaPart, OtherPart, parts_of
from dragoman.api.openai.request import (
    AssistantMessage,
    ChatRequest,
    CompletionRequest,
    FunctionMessage,
    ToolMessage,
)
from dragoman.api.schemas import check_valid
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits

_UNSUPPORTED = ("audio", "moderation", "web_search_options")


def check_chat(request: ChatRequest, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` for the first rule that a chat completions request breaks."""
    limits.check("messages", len(request.messages), "messages")
    parts = [message.content for message in request.messages if isinstance(message.content, list)]
    limits.check("blocks", sum(map(len, parts)) + _calls(request), "messages")
    limits.check("tools", len(request.offered), "functions" if request.functions else "tools")
    _check_common(request, limits)
    _refuse(request, _UNSUPPORTED)
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest.at("top_logprobs", "logprobs must be true if it is set")
    if any(modality != "text" for modality in request.modalities or ()):
        raise InvalidRequest.at("modalities", "this server answers with text only")
    _check_results(request)
    _check_tools(request, limits)
    schema, path = request.schema_wanted
    if schema is not None:
        check_valid(schema, path, limits)


def check_strict_input(request: ChatRequest) -> None:
    """Refuse parts that no model gets here, such as audio (CC-8)."""
    for index, message in enumerate(request.messages):
        for place, part in enumerate(parts_of(message.content)):
            if isinstance(part, MediaPart | OtherPart):
                raise InvalidRequest.at(f"messages.{index}.content.{place}", f"this model cannot take {part.type} parts")


def _calls(request: ChatRequest) -> int:
    return sum(len(message.tool_calls or ()) for message in request.messages if isinstance(message, AssistantMessage))


def _check_common(request: ChatRequest | CompletionRequest, limits: Limits) -> None:
    limits.check("choices", request.n or 1, "n")
    limits.check_stops(request.stops, "stop")
    limits.check("unknown_fields", sum(1 for _ in islice(unknown_fields(request), limits.unknown_fields + 1)), "(body)")


def check_completion(request: CompletionRequest, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` for the first rule that a completions request breaks."""
    _check_common(request, limits)
    if request.echo and request.suffix and request.logprobs is not None:
        raise InvalidRequest.at("logprobs", "cannot be combined with both echo and suffix")
    if request.best_of not in (None, 1, request.n):
        raise InvalidRequest.at("best_of", "this server returns every answer that it generates: n of them")
    prompts = request.prompts
    limits.check("choices", len(prompts) * (request.n or 1), "n" if len(prompts) == 1 else "prompt")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise InvalidRequest.at("prompt" if len(prompts) == 1 else f"prompt.{index}", "must not be empty")
        if request.suffix and not isinstance(prompt, str):
            raise InvalidRequest.at("suffix", "only a text can have one, not token ids")


def _refuse(request: ChatRequest, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(request, name):
            raise InvalidRequest.at(name, "not supported by this server")


def _check_results(request: ChatRequest) -> None:
    """Check that every call has exactly one result in the messages after it, and that every result has a call."""
    open_calls: Counter[str] = Counter()
    for index, message in enumerate(request.messages):
        if isinstance(message, ToolMessage | FunctionMessage):
            if not open_calls[message.tool_call_id]:
                raise InvalidRequest.at(
                    f"messages.{index}.tool_call_id", f"{message.tool_call_id} is not a call of the assistant message before it"
                )
            open_calls[message.tool_call_id] -= 1
            if not open_calls[message.tool_call_id]:
                del open_calls[message.tool_call_id]
            continue
        if open_calls:
            raise InvalidRequest.at(f"messages.{index}", f"the calls before it have no tool message: {', '.join(open_calls)}")
        if isinstance(message, AssistantMessage):
            open_calls = Counter(call.id for call in message.calls)
    if open_calls:
        raise InvalidRequest.at("messages", f"calls without a tool message: {', '.join(open_calls)}")


def _check_tools(request: ChatRequest, limits: Limits) -> None:
    if request.tools and (request.functions or request.function_call):
        raise InvalidRequest.at("functions" if request.functions else "function_call", "cannot be used together with tools")
    place = "functions" if request.functions else "tools"
    names = Counter(tool.name for tool in request.offered)
    for name, times in names.items():
        if times > 1:
            raise InvalidRequest.at(place, f"the name {name} is used {times} times")
    for index, tool in enumerate(request.tools or ()):
        _check_tool(tool.declared, f"tools.{index}.{tool.type}", limits)
    for index, function in enumerate(request.functions or ()):
        _check_tool(function, f"functions.{index}", limits)
    customs = {tool.name for tool in request.offered if isinstance(tool, Custom)}
    for path, name, custom in _chosen(request):
        if name not in names or (name in customs) is not custom:
            raise InvalidRequest.at(path, f"{name} is not among the {place}")
    if request.tool_choice == "required" and not names:
        raise InvalidRequest.at("tool_choice", "there are no tools to choose from")


def _check_tool(tool: Function | Custom, path: str, limits: Limits) -> None:
    if isinstance(tool, Custom):
        if tool.grammar is not None:
            tool.grammar.check(f"{path}.format.grammar.definition", limits)
    elif tool.parameters:
        check_valid(tool.parameters, f"{path}.parameters", limits)


def _chosen(request: ChatRequest) -> Iterator[tuple[str, str, bool]]:
    """The names of tools in the tool choice, with their paths, and whether they are those of custom tools."""
    match request.tool_choice:
        case FunctionChoice() | CustomChoice() as choice:
            yield _named(choice, "tool_choice")
        case AllowedTools(allowed_tools=allowed):
            for index, choice in enumerate(allowed.tools):
                yield _named(choice, f"tool_choice.allowed_tools.tools.{index}")
    if isinstance(request.function_call, ToolName):
        yield "function_call.name", request.function_call.name, False


def _named(choice: FunctionChoice | CustomChoice, path: str) -> tuple[str, str, bool]:
    return f"{path}.{choice.type}.name", choice.name, isinstance(choice, CustomChoice)
