"""Renders blocks of another server's own tools as text for the model (IN-12).

A session may begin on a server that runs searches and code itself, and continue here with those blocks in its history. Such a
block becomes an XML element with the name of its type, with its readable fields as JSON:

    <server_tool_use>
    {"name": "web_search", "input": {"query": "tides"}}
    </server_tool_use>

The input of a call is kept unchanged. Elsewhere, what only the other server could use is left out: ids, signatures, encrypted
text and the bytes of files.
"""

import json
from typing import Any, Final

from dragoman.api.anthropic.blocks import BrowserStateBlock, ServerToolBlock

_UNREADABLE: Final = frozenset(
    {"type", "id", "tool_use_id", "cache_control", "caller", "signature", "trigger", "tool_changes", "retrieved_at"}
)
_SILENT: Final = frozenset({"fallback", "mcp_tool_listing"})
"""Types that carry information for the other server only, never for the model."""


def server_tool_text(block: ServerToolBlock | BrowserStateBlock) -> str:
    """The text that replaces the block; empty if there is nothing to read."""
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
