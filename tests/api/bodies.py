"""Builders for Messages API requests, and the parsing, checking and lowering of a request."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest, PromptRequest
from dragoman.api.base import invalid_request
from dragoman.conversation import Conversation
from dragoman.errors import InvalidRequest

JsonObject = dict[str, Any]


def user(*content: JsonObject | str) -> JsonObject:
    """A user message with one string or with blocks."""
    return _message("user", content)


def assistant(*content: JsonObject | str) -> JsonObject:
    """An assistant message with one string or with blocks."""
    return _message("assistant", content)


def system(*content: JsonObject | str) -> JsonObject:
    """A system message with one string or with blocks."""
    return _message("system", content)


def _message(role: str, content: tuple[JsonObject | str, ...]) -> JsonObject:
    only_text = len(content) == 1 and isinstance(content[0], str)
    return {"role": role, "content": content[0] if only_text else list(content)}


def text(words: str, **fields: Any) -> JsonObject:
    """A text block."""
    return {"type": "text", "text": words, **fields}


def call(identifier: str, name: str = "f", arguments: JsonObject | None = None, **fields: Any) -> JsonObject:
    """A tool_use block."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments or {}, **fields}


def result(identifier: str, **fields: Any) -> JsonObject:
    """A tool_result block."""
    return {"type": "tool_result", "tool_use_id": identifier, **fields}


def tool(name: str = "f", schema: JsonObject | None = None, **fields: Any) -> JsonObject:
    """A custom tool."""
    return {"name": name, "input_schema": schema or {"type": "object", "properties": {}}, **fields}


def body(*messages: JsonObject, **fields: Any) -> JsonObject:
    """A whole body; fields with the value `...` are left out."""
    whole = {"model": "m", "max_tokens": 2048, "messages": list(messages) or [user("Hi")], **fields}
    return {name: value for name, value in whole.items() if value is not ...}


def read(source: JsonObject | bytes, kind: type[PromptRequest] = MessagesRequest, *betas: str) -> Conversation:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    try:
        request = kind.model_validate_json(source if isinstance(source, bytes) else json.dumps(source))
    except ValidationError as error:
        raise invalid_request(error) from None
    rules.check(request, frozenset(betas))
    return lower(request, frozenset(betas))


def by_clause(cases: Iterable[tuple[str, JsonObject, str]]) -> list[Any]:
    """Parameters (body, error message), each marked with the clause that it proves."""
    return [pytest.param(source, message, marks=pytest.mark.clause(clause)) for clause, source, message in cases]


def error_of(source: JsonObject | bytes, kind: type[PromptRequest] = MessagesRequest, *betas: str) -> str:
    """The error message for a body; "" if it is valid."""
    try:
        read(source, kind, *betas)
    except InvalidRequest as refusal:
        return refusal.message
    return ""
