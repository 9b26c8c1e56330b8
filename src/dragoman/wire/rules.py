"""Rules that no single field can check: the order of turns, calls and results, breakpoints, fields that exclude each other.

Each rule raises `InvalidRequest` in the wording of the real API, where that is known: clients match on it (ERR-9, CC-8).
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from dragoman.errors import InvalidRequest, ThreadsUnsupported
from dragoman.wire.base import unknown_fields
from dragoman.wire.blocks import Block, CacheControl, ContentBlock, TextBlock, ToolResultBlock, ToolUseBlock
from dragoman.wire.request import (
    AnyToolChoice,
    CustomTool,
    Message,
    MessagesRequest,
    NamedToolChoice,
    PromptRequest,
    ThinkingBetweenTools,
    ThinkingEnabled,
)
from dragoman.wire.schemas import check_schema, check_valid

MAX_BREAKPOINTS = 4
INTERLEAVED_THINKING = "interleaved-thinking-2025-05-14"


def check(request: PromptRequest, betas: frozenset[str] = frozenset()) -> None:
    """Raise `InvalidRequest` for the first rule that the request breaks. `betas` are the names in `anthropic-beta`."""
    _check_unbuilt(request)
    _check_turns(request.messages)
    _check_calls(request.messages)
    _check_tools(request)
    _check_format(request)
    _check_breakpoints(request)
    _check_thinking(request, betas)
    _check_stop_sequences(request.stop_sequences or ())
    if isinstance(request, MessagesRequest) and request.max_tokens == 0:
        _check_prewarm(request)


def check_strict(request: PromptRequest, *, current: bool) -> None:
    """Refuse what this server otherwise lets pass: unknown fields (BETA-2), and what the `current` version took out (TRN-9)."""
    for name in unknown_fields(request):
        raise InvalidRequest.at(name, "Extra inputs are not permitted")
    if not current:
        return
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request, name) is not None:
            raise InvalidRequest.at(name, "Extra inputs are not permitted")
    for index, message in enumerate(request.messages):
        for position, block in enumerate([] if isinstance(message.content, str) else message.content):
            if message.role == "user" and isinstance(block, TextBlock) and block.citations:
                raise InvalidRequest.at(f"messages.{index}.content.{position}.text.citations", "Extra inputs are not permitted")


def _check_unbuilt(request: PromptRequest) -> None:
    """What would change the meaning of the answer is refused while it is not built (BETA-4, THR-3)."""
    if request.thread is not None:
        raise ThreadsUnsupported
    for name in ("container", "mcp_servers", "compaction", "fallbacks"):
        if getattr(request, name):
            raise InvalidRequest.at(name, "not supported by this server")
    if isinstance(request.thinking, ThinkingBetweenTools):
        raise InvalidRequest.at("thinking.type", '"thinking.type.between_tools" is not supported for this model')
    edits = (request.context_management and request.context_management.edits) or []
    for index, edit in enumerate(edits):
        if not edit.type.startswith("clear_"):
            raise InvalidRequest.at(f"context_management.edits.{index}.type", f"{edit.type} is not supported by this server")


def _check_turns(messages: list[Message]) -> None:
    """REQ-5, REQ-7, REQ-8, REQ-11."""
    if not messages:
        raise InvalidRequest.at("messages", "at least one message is required")
    last = len(messages) - 1
    for index, message in enumerate(messages):
        if not message.content and not (index == last and message.role == "assistant"):
            raise InvalidRequest.at(
                f"messages.{index}", "all messages must have non-empty content except for the optional final assistant message"
            )
        if index < last or message.role != "assistant":  # a final assistant text is a prefill: any text will do (PRE-3)
            _check_texts(message)
        if message.role == "system":
            _check_system_place(messages, index)


def _check_texts(message: Message) -> None:
    content = message.content
    texts = [content] if isinstance(content, str) else [block.text for block in content if isinstance(block, TextBlock)]
    for text in texts:
        if not text:
            raise InvalidRequest.at("messages", "text content blocks must be non-empty")
        if not text.strip():
            raise InvalidRequest.at("messages", "text content blocks must contain non-whitespace text")


def _check_system_place(messages: list[Message], index: int) -> None:
    """Behind a user turn, and in front of an assistant turn or at the end; several in a row are one section (REQ-11)."""
    before = next((message.role for message in reversed(messages[:index]) if message.role != "system"), None)
    after = next((message.role for message in messages[index + 1 :] if message.role != "system"), None)
    if before != "user":
        raise InvalidRequest.at(f"messages.{index}", "role 'system' must follow a 'user' message")
    if after not in (None, "assistant"):
        raise InvalidRequest.at(f"messages.{index}", "role 'system' must precede an 'assistant' message or end the array")
    if isinstance(messages[index].content, str):
        return
    for position, block in enumerate(messages[index].content):
        if not isinstance(block, TextBlock):
            raise InvalidRequest.at(f"messages.{index}.content.{position}", "system messages may hold text blocks only")


class _Pending:
    """The calls of the latest assistant turn that have no result yet."""

    def __init__(self) -> None:
        self.turn = -1
        self.open: list[str] = []
        self.known: frozenset[str] = frozenset()
        self.closed = True  # true once something other than a result was seen behind the calls

    def begin(self, index: int, calls: list[str]) -> None:
        self.turn, self.open, self.known, self.closed = index, calls, frozenset(calls), False

    def settle(self) -> None:
        if self.open:
            raise InvalidRequest.at(
                f"messages.{self.turn}",
                f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(self.open)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
            )
        self.closed = True


def _check_calls(messages: list[Message]) -> None:
    """Calls have ids of their own and are answered in the very next user turn, results first (IN-7, IN-9, IN-10)."""
    seen: set[str] = set()
    pending = _Pending()
    previous = None
    for index, message in enumerate(messages):
        blocks = [] if isinstance(message.content, str) else message.content
        if message.role == "assistant":
            calls = [block.id for block in blocks if isinstance(block, ToolUseBlock)]
            for position, block in enumerate(blocks):
                if isinstance(block, ToolUseBlock):
                    _check_new_id(block.id, seen, f"messages.{index}.content.{position}")
                elif isinstance(block, ToolResultBlock):
                    raise InvalidRequest.at(
                        f"messages.{index}.content.{position}", "`tool_result` blocks can only be in `user` messages"
                    )
            if previous == "assistant" and not pending.closed:
                pending.begin(pending.turn if pending.open else index, pending.open + calls)
            else:
                pending.settle()
                pending.begin(index, calls)
        else:
            _check_results(pending, message, blocks, index)
        previous = message.role
    pending.settle()


def _check_new_id(identifier: str, seen: set[str], path: str) -> None:
    if identifier in seen:
        raise InvalidRequest.at(path, "`tool_use` ids must be unique")
    seen.add(identifier)


def _check_results(pending: _Pending, message: Message, blocks: Sequence[ContentBlock], index: int) -> None:
    if not blocks:
        pending.settle()
    for position, block in enumerate(blocks):
        path = f"messages.{index}.content.{position}"
        if isinstance(block, ToolUseBlock):
            raise InvalidRequest.at(path, "`tool_use` blocks can only be in `assistant` messages")
        if not isinstance(block, ToolResultBlock) or message.role == "system":
            pending.settle()
        elif pending.closed or block.tool_use_id not in pending.known:
            raise InvalidRequest.at(
                path,
                f"unexpected `tool_use_id` found in `tool_result` blocks: {block.tool_use_id}. Each `tool_result` block must "
                "have a corresponding `tool_use` block in the previous message.",
            )
        elif block.tool_use_id in pending.open:
            pending.open.remove(block.tool_use_id)
        else:
            raise InvalidRequest.at(
                path,
                f"each tool_use must have a single result. Found multiple `tool_result` blocks: {block.tool_use_id}",
            )


def _check_tools(request: PromptRequest) -> None:
    """TOOL-2, TOOL-3, TOOL-6, TOOL-15."""
    names: list[str] = []
    for index, tool in enumerate(request.tools or ()):
        if not isinstance(tool, CustomTool):
            raise InvalidRequest.at(f"tools.{index}.type", f"tools of type {tool.type!r} are not supported by this server")
        names.append(tool.name)
        check_schema(tool.input_schema, f"tools.{index}.custom.input_schema")
    if any(count > 1 for count in Counter(names).values()):
        raise InvalidRequest.at("tools", "Tool names must be unique.")
    choice = request.tool_choice
    if isinstance(choice, AnyToolChoice | NamedToolChoice):
        if not names:
            raise InvalidRequest.at("tool_choice", f"{choice.type} needs `tools`, and none were given")
        if isinstance(choice, NamedToolChoice) and choice.name not in names:
            raise InvalidRequest.at("tool_choice", f"Tool '{choice.name}' not found in provided tools")


def _check_format(request: PromptRequest) -> None:
    """STR-1, STR-7."""
    if request.format is None:
        return
    if request.output_config and request.output_config.format and request.output_format:
        raise InvalidRequest.at("output_format", "`output_format` and `output_config.format` cannot both be set")
    path = "output_config.format" if request.output_config and request.output_config.format else "output_format"
    check_valid(request.format.schema_, f"{path}.schema")
    if request.messages[-1].role == "assistant":
        raise InvalidRequest("When using output format, pre-filling the `assistant` response is not supported.")


def _breakpoints(request: PromptRequest) -> Iterator[tuple[str, CacheControl]]:
    """Every breakpoint with its path, in the order of the prefix: tools, system, messages (CACHE-3)."""
    for index, tool in enumerate(request.tools or ()):
        if tool.cache_control:
            yield f"tools.{index}.cache_control", tool.cache_control
    if not isinstance(request.system, str):
        for index, block in enumerate(request.system or ()):
            if block.cache_control:
                yield f"system.{index}.cache_control", block.cache_control
    for number, message in enumerate(request.messages):
        if isinstance(message.content, str):
            continue
        for index, content in enumerate(message.content):
            yield from _block_breakpoints(content, f"messages.{number}.content.{index}")


def _block_breakpoints(block: object, path: str) -> Iterator[tuple[str, CacheControl]]:
    if isinstance(block, Block) and block.cache_control:
        yield f"{path}.cache_control", block.cache_control
    if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        for index, inner in enumerate(block.content):
            yield from _block_breakpoints(inner, f"{path}.content.{index}")


def _check_breakpoints(request: PromptRequest) -> None:
    """CACHE-2, CACHE-3."""
    found = list(_breakpoints(request))
    total = len(found) + (request.cache_control is not None)
    if total > MAX_BREAKPOINTS:
        raise InvalidRequest(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {total}.")
    short_seen = False
    for path, control in found:
        if control.ttl == "1h" and short_seen:
            raise InvalidRequest.at(
                f"{path}.ttl",
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
                "processed in the following order: `tools`, `system`, `messages`.",
            )
        short_seen = short_seen or control.ttl != "1h"


def _check_thinking(request: PromptRequest, betas: frozenset[str]) -> None:
    """Manual thinking limits other fields (THK-2, THK-12)."""
    thinking = request.thinking
    if not isinstance(thinking, ThinkingEnabled):
        return
    max_tokens = getattr(request, "max_tokens", None)
    if max_tokens is not None and max_tokens <= thinking.budget_tokens and INTERLEAVED_THINKING not in betas:
        raise InvalidRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if isinstance(request.tool_choice, AnyToolChoice | NamedToolChoice):
        raise InvalidRequest("Thinking may not be enabled when tool_choice forces tool use.")
    if request.temperature not in (None, 1):
        raise InvalidRequest("`temperature` may only be set to 1 when thinking is enabled.")
    if request.messages[-1].role == "assistant":
        raise InvalidRequest("The final message may not be a prefilled `assistant` message when thinking is enabled.")


def _check_stop_sequences(stops: Sequence[str]) -> None:
    """SEQ-3."""
    for stop in stops:
        if not stop:
            raise InvalidRequest.at("stop_sequences", "each stop sequence must be non-empty")
        if not stop.strip():
            raise InvalidRequest.at("stop_sequences", "each stop sequence must contain non-whitespace")


def _check_prewarm(request: MessagesRequest) -> None:
    """`max_tokens: 0` warms the cache, and goes with nothing that shapes an answer (REQ-3)."""
    reason = None
    if request.stream:
        reason = "`stream`"
    elif isinstance(request.thinking, ThinkingEnabled):
        reason = "enabled `thinking`"
    elif isinstance(request.tool_choice, AnyToolChoice | NamedToolChoice):
        reason = f"`tool_choice` of type {request.tool_choice.type}"
    if reason:
        raise InvalidRequest.at("max_tokens", f"0 cannot be combined with {reason}")
