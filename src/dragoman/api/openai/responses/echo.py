"""Makes the response before it began, which repeats the fields of its request."""

from typing import Any

import msgspec
from msgspec import Raw
from pydantic import BaseModel

from dragoman.api.openai.responses.items import McpListTools
from dragoman.api.openai.responses.mcp_tool import SECRETS
from dragoman.api.openai.responses.request import ResponsesRequest
from dragoman.api.openai.responses.response import ReasoningEcho, Reply, Response
from dragoman.api.openai.responses.stored import stored_items
from dragoman.api.openai.responses.tools import by_flat_name, offered

_encode = msgspec.json.Encoder().encode


def reply_of(request: ResponsesRequest, *, keeps: bool = True) -> Reply:
    """What the encoder needs of a request that has passed `rules`. `keeps`: the server stores responses."""
    stored = keeps and request.store is not False
    reasoning = request.reasoning
    response = Response(
        model=request.model,
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        metadata=request.metadata or {},
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        prompt_cache_key=request.prompt_cache_key,
        reasoning=ReasoningEcho(reasoning.effort, reasoning.summary or reasoning.generate_summary)
        if reasoning
        else ReasoningEcho(),
        safety_identifier=request.safety_identifier,
        store=stored,
        temperature=request.temperature,
        text=_raw({"format": {"type": "text"}, **(_plain(request.text) if request.text else {})}),
        tool_choice=_raw(_plain(request.tool_choice or "auto")),
        tools=_raw([tool.model_dump(exclude_unset=True, by_alias=True, exclude=SECRETS) for tool in request.tools or ()]),
        top_logprobs=request.top_logprobs or 0,
        top_p=request.top_p,
        user=request.user,
    )
    given = stored_items(request.own_items) if stored else ()
    listed = frozenset(item.server_label for item in request.items if isinstance(item, McpListTools))
    return Reply(response, by_flat_name(list(offered(request.tools))), request.summarized, given, request.report, listed)


def _plain(value: BaseModel | str) -> Any:
    return value.model_dump(exclude_unset=True, by_alias=True) if isinstance(value, BaseModel) else value


def _raw(value: object) -> Raw:
    return Raw(_encode(value))
