"""Rules across fields of the OpenAI-compatible API. Each rule raises `InvalidRequest`."""

from collections import Counter
from itertools import islice

from dragoman.api.base import unknown_fields
from dragoman.api.openai.parts import MediaPart, OtherPart, parts_of
from dragoman.api.openai.request import (
    AssistantMessage,
    ChatRequest,
    CompletionRequest,
    FunctionMessage,
    NamedChoice,
    SchemaFormat,
    ToolMessage,
)
from dragoman.api.schemas import check_valid
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits

_UNSUPPORTED = (
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "functions",
    "function_call",
    "audio",
    "prediction",
    "web_search_options",
)
_UNSUPPORTED_IN_COMPLETIONS = ("logit_bias", "logprobs", "echo", "suffix")


def check_chat(request: ChatRequest, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` for the first rule that a chat completions request breaks."""
    limits.check("messages", len(request.messages), "messages")
    parts = [message.content for message in request.messages if isinstance(message.content, list)]
    limits.check("blocks", sum(map(len, parts)) + _calls(request), "messages")
    limits.check("tools", len(request.tools or ()), "tools")
    _check_common(request, limits)
    _refuse(request, _UNSUPPORTED)
    if any(modality != "text" for modality in request.modalities or ()):
        raise InvalidRequest.at("modalities", "this server answers with text only")
    _check_results(request)
    _check_tools(request, limits)
    if isinstance(request.response_format, SchemaFormat):
        check_valid(request.response_format.json_schema.schema_, "response_format.json_schema.schema", limits)


def check_strict_input(request: ChatRequest) -> None:
    """Refuse parts that no model gets here, such as audio (CC-8)."""
    for index, message in enumerate(request.messages):
        for place, part in enumerate(parts_of(message.content)):
            if isinstance(part, MediaPart | OtherPart):
                raise InvalidRequest.at(f"messages.{index}.content.{place}", f"this model cannot take {part.type} parts")


def _calls(request: ChatRequest) -> int:
    return sum(len(message.tool_calls or ()) for message in request.messages if isinstance(message, AssistantMessage))


def _check_common(request: ChatRequest | CompletionRequest, limits: Limits) -> None:
    limits.check_stops(request.stops, "stop")
    limits.check("unknown_fields", sum(1 for _ in islice(unknown_fields(request), limits.unknown_fields + 1)), "(body)")


def check_completion(request: CompletionRequest, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` for the first rule that a completions request breaks."""
    _check_common(request, limits)
    _refuse(request, _UNSUPPORTED_IN_COMPLETIONS)
    if request.best_of not in (None, 1):
        raise InvalidRequest.at("best_of", "this server generates one answer only")
    if isinstance(request.prompt, list) and any(isinstance(inner, str) for inner in request.prompt) and len(request.prompt) > 1:
        raise InvalidRequest.at("prompt", "this server takes one prompt at a time")
    if not request.prompt:
        raise InvalidRequest.at("prompt", "must not be empty")


def _refuse(request: ChatRequest | CompletionRequest, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(request, name):
            raise InvalidRequest.at(name, "not supported by this server")
    if request.n not in (None, 1):
        raise InvalidRequest.at("n", "this server generates one answer only")


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
    names = [tool.function.name for tool in request.tools or ()]
    for name, times in Counter(names).items():
        if times > 1:
            raise InvalidRequest.at("tools", f"the function name {name} is used {times} times")
    for index, tool in enumerate(request.tools or ()):
        if tool.function.parameters:
            check_valid(tool.function.parameters, f"tools.{index}.function.parameters", limits)
    choice = request.tool_choice
    if isinstance(choice, NamedChoice) and choice.function.name not in names:
        raise InvalidRequest.at("tool_choice.function.name", f"{choice.function.name} is not among the tools")
    if choice == "required" and not names:
        raise InvalidRequest.at("tool_choice", "there are no tools to choose from")
