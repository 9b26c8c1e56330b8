"""Lowers a request of the Responses API to the neutral conversation.

Reasoning is on unless the request turns it off (`reasoning.effort: none`). If the last item is a message of the assistant, the
model continues it. Requests have passed `rules` before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import dropwhile, groupby
from typing import Any

from dragoman.api.cited_texts import without_citations
from dragoman.api.openai.content import UNLIMITED, attachments, omitted, read, texts, thinking_policy, unread
from dragoman.api.openai.custom_tools import INPUT
from dragoman.api.openai.request import JsonFormat
from dragoman.api.openai.responses.citations import said
from dragoman.api.openai.responses.compaction import summary_of
from dragoman.api.openai.responses.items import (
    Call,
    Compaction,
    CustomToolCall,
    FunctionCall,
    McpCall,
    McpListTools,
    Message,
    Output,
    ReasoningItem,
    WebSearchCall,
    is_assistant,
    parts_of_items,
)
from dragoman.api.openai.responses.mcp_calls import done_call
from dragoman.api.openai.responses.mcp_tool import MCP
from dragoman.api.openai.responses.request import PromptRequest, ResponsesRequest, SchemaFormat
from dragoman.api.openai.responses.running_calls import DoneCall
from dragoman.api.openai.responses.tools import (
    WEB_SEARCH,
    AllowedTools,
    NamedChoice,
    Offered,
    ToolName,
    WebSearchTool,
    chosen,
    mcp_servers,
    offered,
    searches,
)
from dragoman.api.openai.responses.web_search import kept_search, searched_text
from dragoman.api.rounds import merged, pages_in, split
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.call_order import in_call_order
from dragoman.conversation.compaction import summary_turn
from dragoman.conversation.mcp_names import mcp_tool_name
from dragoman.conversation.server_tools import DeclaredServerTool
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
    TokenReport,
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
    turns = tuple(_turns(request, rest))
    attached = attachments(part for *_, part in parts_of_items(request.items)) + pages_in(turns)
    if not attached:
        turns = tuple(map(without_citations, turns))
    instructions = (Text(request.instructions),) if request.instructions else ()
    dialogue = Dialogue(
        turns=turns,
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
        server_tools=_server_tools(request),
        tool_policy=policy,
        thinking=thinking_policy(request.reasoning.effort if request.reasoning else None),
        sampling=Sampling(generating.temperature, generating.top_p) if generating else Sampling(),
        max_tokens=(generating.max_output_tokens or UNLIMITED) if generating else 0,
        output=_output(request),
        report=generating.report if generating else TokenReport(),
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
    own: set[str] = set()  # ids of the calls that the server made
    turns = [Turn(role, list(_run(request, run, calls, own))) for role, run in groupby(items, key=_role)]
    places = {identifier: place for place, identifier in enumerate(calls)}
    for turn in merged(part for each in turns for part in split(each, own)):
        yield Turn(turn.role, in_call_order(turn.content, places))


def _run(request: PromptRequest, run: Iterable[tuple[int, Any]], calls: dict[str, str], own: set[str]) -> Iterator[Content]:
    """The content of adjacent items of a role. The results of calls that the server made follow all calls of their round."""
    waiting: list[DoneCall] = []
    for index, item in run:
        done = _done(item, index, cites=_may_cite(request))
        same_round = done is not None and (not waiting or (done.round is not None and done.round == waiting[-1].round))
        if not same_round and not isinstance(item, Call):
            yield from (each.result for each in waiting)
            waiting.clear()
        if done is None:
            yield from _content(item, request.path(index), calls)
            continue
        calls[done.call.id] = done.call.name
        own.add(done.call.id)
        waiting.append(done)
        yield done.call
    yield from (each.result for each in waiting)


def _done(item: Any, index: int, *, cites: bool) -> DoneCall | None:
    """The call in an item, and its result, if the server made it. `cites`: the answers may cite what it found."""
    match item:
        case WebSearchCall():
            return kept_search(item, cites=cites)
        case McpCall():
            return done_call(item, index)
        case _:
            return None


def _content(item: Any, path: str, calls: dict[str, str]) -> Iterator[Content]:
    match item:
        case Message(content=content) if item.is_system:
            yield from map(Text, texts(content))
        case Message(role="assistant", content=content):
            yield from said(content, f"{path}.content")
        case Message(content=content):
            yield from read(content, f"{path}.content")
        case ReasoningItem(text=text):
            if text:
                yield Thinking(text)
        case Call():
            name = calls[item.call_id] = ToolName(item.name, item.namespace).flat
            yield ToolCall(item.call_id, name, _arguments(item))
        case WebSearchCall():
            yield searched_text(item)
        case McpListTools():
            pass
        case Compaction():
            yield from summary_turn(summary_of(item) or "").content
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
    ignored = [
        f"the tool {tool.type}" for tool in request.tools or () if isinstance(tool, WebSearchTool) and tool.finds_nothing
    ]
    if request.text and request.text.verbosity not in (None, "medium"):
        ignored.append("text.verbosity")
    if request.truncation == "auto":
        ignored.append("truncation")
    if isinstance(request, ResponsesRequest):
        ignored += ["max_tool_calls"] if request.max_tool_calls is not None else []
        ignored += [f"include {name[:40]}" for name in request.include or () if name not in _KNOWN_INCLUDES]
    if ignored:
        yield f"ignored: {', '.join(ignored)}"


def _server_tools(request: PromptRequest) -> Sequence[DeclaredServerTool]:
    """The tools that the server runs; those that the tool choice does not allow are left out."""
    allowed = request.tool_choice.tools if isinstance(request.tool_choice, AllowedTools) else None
    declared: list[DeclaredServerTool] = []
    if allowed is None or any(choice.is_search for choice in allowed):
        declared += [tool.declared(cites=_may_cite(request)) for tool in searches(request.tools)]
    for label, (tool, path) in mcp_servers(request.tools).items():
        if allowed is None:
            declared.append(tool.declared(path))
        elif names := [choice.name for choice in allowed if choice.type == MCP and choice.server_label == label]:
            declared.append(tool.declared(path, names))
    return declared


def _tool_policy(request: PromptRequest, tools: Sequence[Offered]) -> tuple[ToolPolicy, Sequence[Tool]]:
    """The tool choice, and the tools that may be called."""
    parallel = request.parallel_tool_calls is not False
    names = [tool.name for tool in tools]
    every = tuple(tool.neutral for tool in tools)
    match request.tool_choice:
        case NamedChoice(is_search=True):
            return ToolPolicy(ToolChoice.TOOL, WEB_SEARCH, parallel=parallel), every
        case NamedChoice(type="mcp") as choice:
            tool = mcp_tool_name(choice.server_label or "", choice.name or "")
            return ToolPolicy(ToolChoice.TOOL, tool, parallel=parallel), every
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


def _may_cite(request: PromptRequest) -> bool:
    """Whether the text of answers has citations, which an output format leaves no place for."""
    return _output(request) is None


def _output(request: PromptRequest) -> JsonObject | None:
    match request.text.format if request.text else None:
        case JsonFormat():
            return {"type": "object"}
        case SchemaFormat(schema_=schema):
            return schema
        case _:
            return None
