"""What another server did by itself in an earlier answer, as this model reads it (IN-12).

A session that began elsewhere, where searches and code ran on the server, goes on here with all of that in its history. Such a
block is text in its place, an element named after it, with what there is to read as JSON:

    <server_tool_use>
    {"name": "web_search", "input": {"query": "tides"}}
    </server_tool_use>

The input of a call is kept as it is. Of all else, what only its maker could read is left out: ids, signatures, encrypted text
and the bytes of files.
"""

import json
from typing import Any, Final

from dragoman.api.anthropic.blocks import BrowserStateBlock, ServerToolBlock

_UNREADABLE: Final = frozenset(
    {"type", "id", "tool_use_id", "cache_control", "caller", "signature", "trigger", "tool_changes", "retrieved_at"}
)
_SILENT: Final = frozenset({"fallback", "mcp_tool_listing"})
"""Marks for the server that made them: there is nothing in them that a model ever read."""


def server_tool_text(block: ServerToolBlock | BrowserStateBlock) -> str:
    """What the model reads in the place of the block; empty where it reads nothing."""
    if block.type in _SILENT:
        return ""
    fields = _readable(block.model_extra or {})
    words = fields["content"] if fields.keys() == {"content"} else fields
    if not words:
        return ""
    return f"<{block.type}>\n{words if isinstance(words, str) else json.dumps(words, ensure_ascii=False)}\n</{block.type}>"


def _readable(value: Any) -> Any:
    match value:
        case {"type": "base64", "media_type": media_type}:
            return {"media_type": media_type, "data": "[omitted]"}
        case dict():
            return {
                name: inner if name == "input" else _readable(inner)
                for name, inner in value.items()
                if name not in _UNREADABLE and not name.startswith("encrypted_") and inner is not None
            }
        case list():
            return [_readable(inner) for inner in value]
        case _:
            return value
