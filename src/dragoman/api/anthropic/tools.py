"""The tools that a request declares, in `tools` or in messages (contract §11)."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from dragoman.api.anthropic.cache_control import CacheControl
from dragoman.api.base import WireModel


class Tool(WireModel):
    """The base of tools (TOOL-1). `eager_input_streaming` has no effect: arguments are always streamed at once."""

    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: list[dict[str, Any]] | None = None


class CustomTool(Tool):
    """A tool that the client defines and runs (TOOL-1, TOOL-2)."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any]


class DefinedTool(Tool):
    """A tool that Anthropic defines and names by its type, `bash_20250124` or `web_search_20250305` (TOOL-14, TOOL-15)."""

    type: str
    name: str | None = None
    max_characters: Annotated[int, Field(ge=1)] | None = None


def _tool_kind(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return "custom" if value.get("type") in (None, "custom") else "(defined)"


AnyTool = Annotated[
    Annotated[CustomTool, Tag("custom")] | Annotated[DefinedTool, Tag("(defined)")],
    Discriminator(_tool_kind, custom_error_type="tool", custom_error_message="Input should be a valid dictionary"),
]
