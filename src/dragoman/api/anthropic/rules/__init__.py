"""Rules across fields: the order of turns, calls and results, cache breakpoints, fields that exclude each other.

Each rule raises `InvalidRequest` with Anthropic's own wording where that is known, because clients match it (ERR-9, CC-8).
"""

from collections.abc import Collection, Sequence
from itertools import islice

from dragoman.api.anthropic.blocks import CitableBlock, DocumentBlock, TextBlock, ToolReferenceBlock, walk
from dragoman.api.anthropic.context_management import LaterEdit
from dragoman.api.anthropic.offer import offer_of
from dragoman.api.anthropic.request import (
    AnyToolChoice,
    MessagesRequest,
    NamedToolChoice,
    PromptRequest,
    ThinkingBetweenTools,
    ThinkingEnabled,
)
from dragoman.api.anthropic.rules.breakpoints import check_breakpoints
from dragoman.api.anthropic.rules.compaction import check_compaction
from dragoman.api.anthropic.rules.mcp import check_mcp
from dragoman.api.anthropic.rules.tools import check_choice, check_tool_changes, check_tools
from dragoman.api.anthropic.rules.turns import check_calls, check_input_ids, check_turns
from dragoman.api.anthropic.tools import WebFetchTool
from dragoman.api.base import check_known, unknown_fields
from dragoman.api.mcp_urls import AllowsUrl
from dragoman.api.schemas import check_valid
from dragoman.errors import InvalidRequest, ThreadsUnsupported
from dragoman.limits import DEFAULT, Limits

__all__ = ["check", "check_strict"]

_UNSUPPORTED = (
    "container",
    "fallbacks",
    "image_data",
    "return_routed_experts",
    "include_stop_str_in_output",
)
_REFERENCES = frozenset({ToolReferenceBlock})
INTERLEAVED_THINKING = "interleaved-thinking-2025-05-14"


def check(
    request: PromptRequest,
    betas: frozenset[str] = frozenset(),
    limits: Limits = DEFAULT,
    runs: Collection[str] = (),
    allows_mcp: AllowsUrl = lambda _: False,
) -> None:
    """Raise `InvalidRequest` for the first rule that the request breaks.

    `betas` are the names in `anthropic-beta`, `runs` those of the tools that the server runs, `allows_mcp` says where MCP
    servers may be.
    """
    _check_sizes(request, limits)
    _check_unsupported(request)
    if request.input_ids is None:
        check_turns(request)
    else:
        check_input_ids(request)
    check_calls(request.messages)
    _check_citations(request)
    check_mcp(request, allows_mcp)
    check_tools(request, limits, runs)
    check_tool_changes(request, limits)
    if not request.mcp_servers:  # their tools are not known yet
        check_choice(request.tool_choice, offer_of(request, betas).callable)
    _check_format(request, limits)
    if isinstance(request, MessagesRequest) and request.compaction is not None:
        check_compaction(request)
    check_breakpoints(request)
    _check_thinking(request, betas)
    _check_stop_sequences(request.stop_sequences or ())
    if isinstance(request, MessagesRequest) and request.max_tokens == 0:
        _check_prewarm(request)


def check_strict(request: PromptRequest, *, current: bool) -> None:
    """Refuse what is accepted without strict mode: unknown fields (BETA-2), and what the `current` version removed (TRN-9)."""
    check_known(request)
    if not current:
        return
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request, name) is not None:
            raise InvalidRequest.at(name, "Extra inputs are not permitted")
    for index, message in enumerate(request.messages):
        for path, block in walk(message.blocks, f"messages.{index}.content"):
            if message.role == "user" and isinstance(block, TextBlock) and block.citations:
                raise InvalidRequest.at(f"{path}.text.citations", "Extra inputs are not permitted")
            if message.role == "assistant" and isinstance(block, DocumentBlock):
                raise InvalidRequest.at(path, "`document` blocks can only be in `user` messages")


def _check_unsupported(request: PromptRequest) -> None:
    """Refuse unsupported fields that would change the meaning of the answer (BETA-4, THR-3)."""
    if request.thread is not None:
        raise ThreadsUnsupported
    for name in _UNSUPPORTED:
        if getattr(request, name):
            raise InvalidRequest.at(name, "not supported by this server")
    if isinstance(request.thinking, ThinkingBetweenTools):
        raise InvalidRequest.at("thinking.type", '"thinking.type.between_tools" is not supported for this model')
    edits = (request.context_management and request.context_management.edits) or []
    for index, edit in enumerate(edits):
        if isinstance(edit, LaterEdit) and not edit.type.startswith("clear_"):
            raise InvalidRequest.at(f"context_management.edits.{index}.type", f"{edit.type} is not supported by this server")


def _check_sizes(request: PromptRequest, limits: Limits) -> None:
    """Check the number of messages, tools, blocks and fields, before all other rules."""
    limits.check("messages", len(request.messages), "messages")
    limits.check("tools", len(request.tools or ()), "tools")
    limits.check("blocks", sum(len(message.blocks) for message in request.messages), "messages")
    references = (block for _, block in request.walk(_REFERENCES) if isinstance(block, ToolReferenceBlock))
    limits.check("tool_references", sum(1 for _ in islice(references, limits.tool_references + 1)), "messages")
    limits.check("blocks", len(request.system) if isinstance(request.system, list) else 0, "system")
    limits.check_stops(request.stop_sequences or (), "stop_sequences")
    limits.check("unknown_fields", sum(1 for _ in islice(unknown_fields(request), limits.unknown_fields + 1)), "(body)")


def _check_citations(request: PromptRequest) -> None:
    """Refuse citations together with an output format (STR-7). Those of web searches, which no field asks for, are left out."""
    if not request.format:
        return
    blocks = (path for path, block in request.attachments() if isinstance(block, CitableBlock) and block.wants_citations)
    tools = (
        f"tools.{index}"
        for index, tool in enumerate(request.tools or ())
        if isinstance(tool, WebFetchTool) and tool.wants_citations
    )
    for path in (*blocks, *tools):
        raise InvalidRequest.at(f"{path}.citations", "citations cannot be combined with an output format")


def _check_format(request: PromptRequest, limits: Limits) -> None:
    """Check the output format (STR-1, STR-7)."""
    if request.format is None:
        return
    if request.output_config and request.output_config.format and request.output_format:
        raise InvalidRequest.at("output_format", "`output_format` and `output_config.format` cannot both be set")
    path = "output_config.format" if request.output_config and request.output_config.format else "output_format"
    check_valid(request.format.schema_, f"{path}.schema", limits)
    if request.ends_in_prefill:
        raise InvalidRequest("When using output format, pre-filling the `assistant` response is not supported.")


def _check_thinking(request: PromptRequest, betas: frozenset[str]) -> None:
    """Check the fields that a thinking budget limits (THK-2, THK-12)."""
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
    if request.ends_in_prefill:
        raise InvalidRequest("The final message may not be a prefilled `assistant` message when thinking is enabled.")


def _check_stop_sequences(stops: Sequence[str]) -> None:
    """Check that stop sequences contain visible text (SEQ-3)."""
    for stop in stops:
        if not stop:
            raise InvalidRequest.at("stop_sequences", "each stop sequence must be non-empty")
        if not stop.strip():
            raise InvalidRequest.at("stop_sequences", "each stop sequence must contain non-whitespace")


def _check_prewarm(request: MessagesRequest) -> None:
    """Check that `max_tokens: 0`, which only warms the cache, has no field that shapes an answer (REQ-3)."""
    reason = None
    if request.stream:
        reason = "`stream`"
    elif isinstance(request.thinking, ThinkingEnabled):
        reason = "enabled `thinking`"
    elif isinstance(request.tool_choice, AnyToolChoice | NamedToolChoice):
        reason = f"`tool_choice` of type {request.tool_choice.type}"
    elif request.compaction is not None:
        reason = "`compaction`"
    if reason:
        raise InvalidRequest.at("max_tokens", f"0 cannot be combined with {reason}")
