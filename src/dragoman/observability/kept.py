"""Redacts a captured request: an allow-list of headers, query parameters and body fields.

The conversation, the tools and the settings are kept unchanged. Identifiers of persons and devices, credentials for other
servers, and every field that is not listed here are replaced by a note of their size. A body without such fields is kept to the
byte.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-language",
        "content-type",
        "content-encoding",
        "user-agent",
        "anthropic-version",
        "anthropic-beta",
        "anthropic-dangerous-direct-browser-access",
        "x-app",
        "x-claude-code-session-id",
        "x-claude-code-agent-id",
        "x-claude-code-parent-agent-id",
        "x-stainless-arch",
        "x-stainless-lang",
        "x-stainless-os",
        "x-stainless-package-version",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
        "x-stainless-retry-count",
        "x-stainless-timeout",
        "x-stainless-read-timeout",
        "x-stainless-helper",
        "x-stainless-helper-method",
        "x-stainless-stream-helper",
    }
)
_QUERY: Final = frozenset(
    {"beta", "limit", "after_id", "before_id", "lifecycle", "lifecycle[]", "after", "order", "stream", "starting_after"}
)


@dataclass(frozen=True)
class Fields:
    """The fields of an object that are kept, each with the rule for its value; `text`: a string may replace the object."""

    rules: dict[str, "Rule"]
    text: bool = False


Rule = Fields | None
"""The part of a value that is kept. None keeps everything. In a list, the rule applies to each item."""


def _kept(names: str, *, text: bool = False, **rules: Rule) -> Fields:
    return Fields({**dict.fromkeys(names.split()), **rules}, text)


_TEXT: Final = _kept("", text=True)
_BLOCK: Final = _kept(
    """type text title context cache_control citations id name input caller toolset_name tool_use_id is_error thinking
    signature data tool_name source transformations image_url file input_audio refusal tool""",
    text=True,
)
_BLOCK.rules["content"] = _BLOCK
_CALL: Final = _kept("id type index", function=_kept("name arguments"), custom=_kept("name input"))
_MESSAGE: Final = _kept(
    "role name refusal reasoning reasoning_content tool_call_id",
    content=_BLOCK,
    tool_calls=_CALL,
    function_call=_kept("name arguments"),
)
_PART: Final = _kept(
    "type text annotations logprobs refusal image_url detail file_data file_url filename input_audio", text=True
)
_ITEM: Final = _kept(
    "type id role status phase call_id name namespace arguments input summary encrypted_content server_label",
    text=True,
    content=_PART,
    output=_PART,
)
_TOOL: Final = _kept(
    """type name description input_schema strict cache_control eager_input_streaming defer_loading allowed_callers
    input_examples max_characters max_uses allowed_domains blocked_domains parameters output_schema format
    external_web_access server_label require_approval allowed_tools""",
    function=_kept("name description parameters strict"),
    custom=_kept("name description format"),
)
_TOOL.rules["tools"] = _TOOL
_BODY: Final = _kept(
    """model max_tokens max_completion_tokens stream stream_options tool_choice parallel_tool_calls thinking output_config
    output_format context_management cache_control temperature top_p top_k min_p seed presence_penalty frequency_penalty
    stop_sequences stop service_tier speed inference_geo betas compaction response_format reasoning_effort
    chat_template_kwargs n logit_bias logprobs top_logprobs modalities prompt suffix echo best_of store truncation
    instructions previous_response_id reasoning text include max_output_tokens repetition_penalty enable_thinking
    function_call""",
    functions=_kept("name description parameters strict"),
    input=_ITEM,
    messages=_MESSAGE,
    system=_BLOCK,
    tools=_TOOL,
    mcp_servers=_kept("", type=_TEXT, name=_TEXT, tool_configuration=_kept("", enabled=_TEXT, allowed_tools=_TEXT)),
    thread=_kept("", type=_TEXT),
    metadata=_kept("user_id"),
)
_SESSION: Final = "session_id"
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)'
_OLD_USER: Final = re.compile(r"user_(?P<device>[0-9a-f]+)_account_(?P<account>[0-9a-f-]*)_session_[0-9a-f-]+")
_USER_PART: Final = re.compile(
    rf'(?P<session>"{_SESSION}"\s*:\s*{_STRING})|(?P<key>"(?:device_id|account_uuid|account_id|user_id)"(?=\s*:))|{_STRING}|[\d.]+'
)


def kept_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Return the headers that a file may contain, and the names of the others. Names are in lower case."""
    kept: dict[str, str] = {}
    removed = []
    for name, value in headers:
        if name in _HEADERS:
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
        else:
            removed.append(name)
    return kept, removed


def kept_target(path: str, query: str) -> str:
    """Return the encoded path with the query parameters that the API defines."""
    known = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name in _QUERY]
    return f"{quote(path)}?{urlencode(known)}" if known else quote(path)


def kept_body(body: str) -> tuple[str, list[str]]:
    """Return the redacted body, and the dotted names of the fields that were replaced.

    The session id in `metadata.user_id` is kept if it can be recognized. In a body that is not JSON, all strings are masked.
    """
    try:
        value = msgspec.json.decode(body)
        removed: dict[str, None] = {}
        kept = _walk(value, _BODY, "", removed)
        return (msgspec.json.encode(kept).decode(), sorted(removed)) if removed else (body, [])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        masked = re.sub(_STRING, lambda string: _zeros(string[0]), body)
        return masked, ["(strings)"] if masked != body else []


def _walk(value: Any, rule: Rule, path: str, removed: dict[str, None]) -> Any:
    """Replace everything in a value that its rule does not keep. The recursion is as deep as the rules."""
    if rule is None or (rule.text and isinstance(value, str)):
        return value
    if isinstance(value, list):
        return [_walk(item, rule, path, removed) for item in value]
    if not isinstance(value, dict):
        note = _note(value)
        removed.update({} if note == value else {path or "(body)": None})
        return note
    made: dict[str, Any] = {}
    for name, inner in value.items():
        place = f"{path}.{name}" if path else name
        if name not in rule.rules:
            made[name] = _note(inner)
            removed[place] = None
        elif place == "metadata.user_id":
            made[name] = _without_device(inner) if isinstance(inner, str) else _note(inner)
            removed.update({} if made[name] == inner else {place: None})
        else:
            made[name] = _walk(inner, rule.rules[name], place, removed)
    return made


def _note(value: Any) -> Any:
    """Return the note that replaces a value; null and booleans are returned as they are, since they contain no secrets."""
    if value is None or isinstance(value, bool):
        return value
    kind = "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "array"
    kind = "number" if isinstance(value, int | float) else kind
    return f"(not kept: {kind}, {len(msgspec.json.encode(value))} bytes)"


def _without_device(user: str) -> str:
    """Mask the device and account in the one string where Claude Code writes them with the session. Lengths are kept."""
    if _is_json_with_session(user):
        return _USER_PART.sub(lambda part: part[0] if part["session"] or part["key"] else _zeros(part[0]), user)
    if old := _OLD_USER.fullmatch(user):
        return f"user_{_zeros(old['device'])}_account_{_zeros(old['account'])}_{user[old.end('account') + 1 :]}"
    return _zeros(user)


def _is_json_with_session(user: str) -> bool:
    try:
        return _SESSION in msgspec.json.decode(user, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return False


def _zeros(text: str) -> str:
    return re.sub(r"[^\W_]", "0", text)
