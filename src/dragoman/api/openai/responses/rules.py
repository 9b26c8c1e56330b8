"""Rules across fields of the Responses API. Each rule raises `InvalidRequest`."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice

from dragoman.api.base import unknown_fields
from dragoman.api.mcp_urls import AllowsUrl
from dragoman.api.openai.parts import MediaPart, OtherPart, TextPart, parts_of
from dragoman.api.openai.responses.compaction import summary_of
from dragoman.api.openai.responses.items import (
    Call,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    ItemReference,
    Message,
    OtherItem,
    Output,
    is_assistant,
    parts_of_items,
)
from dragoman.api.openai.responses.mcp_tool import MCP, McpTool
from dragoman.api.openai.responses.request import CompactRequest, PromptRequest, ResponsesRequest, SchemaFormat
from dragoman.api.openai.responses.tools import (
    WEB_SEARCH,
    AllowedTools,
    CustomTool,
    FunctionTool,
    HostedTool,
    NamedChoice,
    Offered,
    WebSearchTool,
    chosen,
    mcp_servers,
    offered,
    searches,
)
from dragoman.api.schemas import check_valid
from dragoman.conversation.server_tools import is_domain
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits

_UNSUPPORTED = "not supported by this server"
_REFUSED = ("background", "prompt", "context_management", "moderation")


def check(
    request: PromptRequest,
    limits: Limits = DEFAULT,
    runs: Collection[str] = (),
    allows_mcp: AllowsUrl = lambda _: False,
) -> None:
    """Raise `InvalidRequest` for the first rule that a request breaks. `runs` are the tools that the server runs."""
    items = request.items
    limits.check("messages", len(items), "input")
    limits.check("blocks", sum(1 for _ in parts_of_items(items)), "input")
    limits.check("unknown_fields", sum(1 for _ in islice(unknown_fields(request), limits.unknown_fields + 1)), "(body)")
    _refuse(request)
    if not request.own_items:
        raise InvalidRequest.at("input", "must not be empty")
    _check_items(request)
    _check_calls(request)
    _check_mcp(request, allows_mcp)
    _check_tools(request, limits, runs)
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
    if isinstance(request, CompactRequest) and request.stream:
        raise InvalidRequest.at("stream", "a compaction is not streamed")
    for name in names:
        if getattr(request, name):
            raise InvalidRequest.at(name, _UNSUPPORTED)
    if request.reasoning and request.reasoning.mode not in (None, "standard"):
        raise InvalidRequest.at("reasoning.mode", _UNSUPPORTED)
    if not isinstance(request, ResponsesRequest):
        return
    if request.prompt_cache_options and request.prompt_cache_options.prewarm:
        raise InvalidRequest.at("prompt_cache_options.prewarm", _UNSUPPORTED)


def _check_items(request: PromptRequest) -> None:
    for index, item in enumerate(request.items):
        path = request.path(index)
        if isinstance(item, OtherItem):
            raise InvalidRequest.at(f"{path}.type", f"items of type {item.type[:40]} are {_UNSUPPORTED}")
        if isinstance(item, ItemReference):
            raise InvalidRequest.at(path, f"there is no stored item {item.id[:80]}")
        if isinstance(item, Compaction) and summary_of(item) is None:
            raise InvalidRequest.at(f"{path}.encrypted_content", "is not a compaction of this server, or it is damaged")
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


def _check_mcp(request: PromptRequest, allows: AllowsUrl) -> None:
    declared = [(index, tool) for index, tool in enumerate(request.tools or ()) if isinstance(tool, McpTool)]
    for index, tool in declared:
        tool.check(f"tools.{index}", allows)
    for label, times in Counter(tool.server_label for _, tool in declared).items():
        if times > 1:
            raise InvalidRequest.at("tools", f"the server label {label} is used {times} times")


def _check_tools(request: PromptRequest, limits: Limits, runs: Collection[str]) -> None:
    tools = list(offered(request.tools))
    limits.check("tools", len(tools), "tools")
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, HostedTool):
            reason = f"the tool {tool.type[:40]} is {_UNSUPPORTED}: leave it out"
            raise InvalidRequest.at(f"tools.{index}.type", reason)
        if isinstance(tool, WebSearchTool) and not tool.finds_nothing:
            _check_search(tool, f"tools.{index}", runs)
    names = [*(tool.name.flat for tool in tools), *(WEB_SEARCH for _ in searches(request.tools))]
    for name, times in Counter(names).items():
        if times > 1:
            raise InvalidRequest.at("tools", f"the name {name} is used {times} times")
    for offer in tools:
        _check_tool(offer, limits)
    _check_choice(request, tools)


def _check_search(tool: WebSearchTool, path: str, runs: Collection[str]) -> None:
    if WEB_SEARCH not in runs:
        how = 'start it with `--web-search PROVIDER`, or leave the tool out (in Codex: web_search = "disabled")'
        raise InvalidRequest.at(f"{path}.type", f"the tool {tool.type} is {_UNSUPPORTED} as it is configured: {how}")
    for index, domain in enumerate(tool.domains):
        if not is_domain(domain):
            raise InvalidRequest.at(f"{path}.filters.allowed_domains.{index}", "must be a domain without a scheme")


def _check_tool(offer: Offered, limits: Limits) -> None:
    match offer.tool:
        case FunctionTool(parameters=parameters):
            if parameters:
                check_valid(parameters, f"{offer.path}.parameters", limits)
        case CustomTool(grammar=grammar):
            if grammar is not None:
                grammar.check(f"{offer.path}.format.definition", limits)


def _check_choice(request: PromptRequest, tools: Sequence[Offered]) -> None:
    has_any = bool(tools or searches(request.tools) or mcp_servers(request.tools))
    match request.tool_choice:
        case NamedChoice() as choice:
            _check_named(choice, request, tools, "tool_choice")
            if choice.type == MCP and not choice.name:
                raise InvalidRequest.at("tool_choice.name", "Field required: this server cannot force any tool of a server")
        case AllowedTools(tools=allowed):
            for index, choice in enumerate(allowed):
                _check_named(choice, request, tools, f"tool_choice.tools.{index}")
            if not allowed:
                raise InvalidRequest.at("tool_choice.tools", "must not be empty")
        case "required" if not has_any:
            raise InvalidRequest.at("tool_choice", "there are no tools to choose from")


def _check_named(choice: NamedChoice, request: PromptRequest, tools: Sequence[Offered], path: str) -> None:
    if choice.is_search and searches(request.tools):
        return
    if choice.type == MCP:
        if choice.server_label not in mcp_servers(request.tools):
            raise InvalidRequest.at(f"{path}.server_label", f"{choice.server_label} is not among the MCP servers of the tools")
        return
    if choice.type not in ("function", "custom"):
        raise InvalidRequest.at(f"{path}.type", f"the tool {choice.type[:40]} is {_UNSUPPORTED}")
    if not choice.name:
        raise InvalidRequest.at(f"{path}.name", "Field required")
    if chosen(choice, [tool.name for tool in tools]) is None:
        raise InvalidRequest.at(f"{path}.name", f"{choice.name} is not among the tools")
