"""Rules across fields of the Responses API. Each rule raises `InvalidRequest`."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from dragoman.api.base import unknown_fields
from dragoman.api.openai.parts import MediaPart, OtherPart, TextPart, parts_of
from dragoman.api.openai.responses.items import (
    Call,
    CustomToolCall,
    CustomToolCallOutput,
    ItemReference,
    Message,
    OtherItem,
    Output,
    is_assistant,
    parts_of_items,
)
from dragoman.api.openai.responses.lark_grammar import UnsupportedGrammar
from dragoman.api.openai.responses.request import PromptRequest, ResponsesRequest, SchemaFormat
from dragoman.api.openai.responses.tools import (
    AllowedTools,
    AnyText,
    CustomTool,
    FunctionTool,
    HostedTool,
    NamedChoice,
    Offered,
    chosen,
    offered,
    pattern_of,
)
from dragoman.api.schemas import check_valid
from dragoman.errors import InvalidRequest
from dragoman.json_schema.validation import validator
from dragoman.limits import DEFAULT, Limits

_UNSUPPORTED = "not supported by this server"
_REFUSED = ("background", "prompt", "context_management", "moderation", "top_logprobs")
_LOGPROBS = "message.output_text.logprobs"


def check(request: PromptRequest, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` for the first rule that a request breaks."""
    items = request.items
    limits.check("messages", len(items), "input")
    limits.check("blocks", sum(1 for _ in parts_of_items(items)), "input")
    limits.check("unknown_fields", sum(1 for _ in islice(unknown_fields(request), limits.unknown_fields + 1)), "(body)")
    _refuse(request)
    if not request.own_items:
        raise InvalidRequest.at("input", "must not be empty")
    _check_items(request)
    _check_calls(request)
    _check_tools(request, limits)
    if request.text and isinstance(request.text.format, SchemaFormat):
        check_valid(request.text.format.schema_, "text.format.schema", limits)


def check_strict_input(request: PromptRequest) -> None:
    """Refuse parts that no model gets here, such as audio (CC-8)."""
    for index, path, part in parts_of_items(request.items):
        if isinstance(part, MediaPart | OtherPart):
            raise InvalidRequest.at(f"{request.path(index)}.{path}", f"this model cannot take {part.type} parts")


def _refuse(request: PromptRequest) -> None:
    """Refuse fields that would change the answer and that this server does not have."""
    names = ("conversation", *(_REFUSED if isinstance(request, ResponsesRequest) else ()))
    for name in names:
        if getattr(request, name):
            raise InvalidRequest.at(name, _UNSUPPORTED)
    if request.reasoning and request.reasoning.mode not in (None, "standard"):
        raise InvalidRequest.at("reasoning.mode", _UNSUPPORTED)
    if not isinstance(request, ResponsesRequest):
        return
    if request.prompt_cache_options and request.prompt_cache_options.prewarm:
        raise InvalidRequest.at("prompt_cache_options.prewarm", _UNSUPPORTED)
    if _LOGPROBS in (request.include or ()):
        raise InvalidRequest.at("include", f"{_LOGPROBS} is {_UNSUPPORTED}")


def _check_items(request: PromptRequest) -> None:
    for index, item in enumerate(request.items):
        path = request.path(index)
        if isinstance(item, OtherItem):
            raise InvalidRequest.at(f"{path}.type", f"items of type {item.type[:40]} are {_UNSUPPORTED}")
        if isinstance(item, ItemReference):
            raise InvalidRequest.at(path, f"there is no stored item {item.id[:80]}")
        if isinstance(item, Message) and item.is_system:
            for place, part in enumerate(parts_of(item.content)):
                if not isinstance(part, TextPart):
                    raise InvalidRequest.at(f"{path}.content.{place}", f"a {item.role} message has text only")


def _check_calls(request: PromptRequest) -> None:
    """Check that every call has one output before the next items of the model, and that every output has a call."""
    waiting: dict[str, Call] = {}
    calling = False  # whether the item before this one is the model's
    for index, item in enumerate(request.items):
        path, ends = request.path(index), isinstance(item, Message) and item.is_system
        if waiting and (ends or (is_assistant(item) and not calling)):
            raise _without_output(path, waiting)
        if isinstance(item, Output):
            _take(item, waiting, path)
        if isinstance(item, Call):
            if item.call_id in waiting:
                raise InvalidRequest.at(f"{path}.call_id", f"the id {item.call_id} is that of the call before it")
            waiting[item.call_id] = item
        calling = is_assistant(item)
    if waiting:
        raise _without_output("input", waiting)


def _take(output: Output, waiting: dict[str, Call], path: str) -> None:
    """Take the call of an output from those that wait for one."""
    call = waiting.pop(output.call_id, None)
    if call is None:
        raise InvalidRequest.at(f"{path}.call_id", f"there is no call {output.call_id} without an output before it")
    if isinstance(call, CustomToolCall) != isinstance(output, CustomToolCallOutput):
        raise InvalidRequest.at(f"{path}.type", f"the call {output.call_id} is one of another type")


def _without_output(path: str, waiting: dict[str, Call]) -> InvalidRequest:
    return InvalidRequest.at(path, f"calls before it have no output: {', '.join(waiting)}")


def _check_tools(request: PromptRequest, limits: Limits) -> None:
    tools = list(offered(request.tools))
    limits.check("tools", len(tools), "tools")
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, HostedTool) and not tool.finds_nothing:
            hint = ' (in Codex: web_search = "disabled")' if tool.type.startswith("web_search") else ""
            reason = f"the tool {tool.type[:40]} is {_UNSUPPORTED}, which runs no tools itself: leave it out{hint}"
            raise InvalidRequest.at(f"tools.{index}.type", reason)
    for name, times in Counter(tool.name.flat for tool in tools).items():
        if times > 1:
            raise InvalidRequest.at("tools", f"the name {name} is used {times} times")
    for offer in tools:
        _check_tool(offer, limits)
    _check_choice(request, tools)


def _check_tool(offer: Offered, limits: Limits) -> None:
    match offer.tool:
        case FunctionTool(parameters=parameters):
            if parameters:
                check_valid(parameters, f"{offer.path}.parameters", limits)
        case CustomTool(format=None | AnyText()):
            pass
        case CustomTool():
            path = f"{offer.path}.format.definition"
            try:
                schema = {"type": "string", "pattern": pattern_of(offer.tool)}
            except UnsupportedGrammar as error:
                raise InvalidRequest.at(path, f"this grammar cannot be enforced: {error}") from None
            check_valid(schema, path, limits)
            if validator(schema) is None:
                raise InvalidRequest.at(path, "is not a regular expression")


def _check_choice(request: PromptRequest, tools: Sequence[Offered]) -> None:
    names = [tool.name for tool in tools]
    match request.tool_choice:
        case NamedChoice() as choice:
            _check_named(choice, tools, "tool_choice")
        case AllowedTools(tools=allowed):
            for index, choice in enumerate(allowed):
                _check_named(choice, tools, f"tool_choice.tools.{index}")
            if not allowed:
                raise InvalidRequest.at("tool_choice.tools", "must not be empty")
        case "required" if not names:
            raise InvalidRequest.at("tool_choice", "there are no tools to choose from")


def _check_named(choice: NamedChoice, tools: Sequence[Offered], path: str) -> None:
    if choice.type not in ("function", "custom"):
        raise InvalidRequest.at(f"{path}.type", f"the tool {choice.type[:40]} is {_UNSUPPORTED}")
    if not choice.name:
        raise InvalidRequest.at(f"{path}.name", "Field required")
    if chosen(choice, [tool.name for tool in tools]) is None:
        raise InvalidRequest.at(f"{path}.name", f"{choice.name} is not among the tools")
