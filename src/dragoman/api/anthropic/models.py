"""The response bodies of `GET /v1/models`."""

from msgspec import Struct, field


class Flag(Struct, frozen=True):
    """Whether one capability is supported."""

    supported: bool = False


NO = Flag()
YES = Flag(supported=True)


class ContextManagementFlags(Struct, frozen=True):
    """Context edits that the server applies itself, for every model."""

    supported: bool = True
    clear_thinking_20251015: Flag = YES
    clear_tool_uses_20250919: Flag = YES
    compact_20260112: Flag = YES


class CompactionFlags(Struct, frozen=True):
    """Summaries that a request asks for (BETA-5)."""

    supported: bool = True
    summarize: Flag = YES


class EffortFlags(Struct, frozen=True):
    """The effort levels that have an effect on the model."""

    supported: bool = False
    low: Flag = NO
    medium: Flag = NO
    high: Flag = NO
    xhigh: Flag = NO
    max: Flag = NO


class ServerToolFlags(Struct, frozen=True):
    """Tools that the server runs."""

    supported: bool = False
    web_search: Flag = NO
    code_execution: Flag = NO


class ThinkingTypeFlags(Struct, frozen=True):
    """The thinking types that are accepted, for every model."""

    adaptive: Flag = YES
    between_tools: Flag = NO
    disabled: Flag = YES
    enabled: Flag = YES


class ThinkingFlags(Struct, frozen=True):
    """Whether the model reasons."""

    supported: bool = False
    types: ThinkingTypeFlags = field(default_factory=ThinkingTypeFlags)


class ModelCapabilities(Struct, frozen=True):
    """All capabilities; clients treat an incomplete set as an error (MOD-5)."""

    batch: Flag = YES
    citations: Flag = YES  # by marks that every model can write
    code_execution: Flag = NO
    compaction: CompactionFlags = field(default_factory=CompactionFlags)
    context_management: ContextManagementFlags = field(default_factory=ContextManagementFlags)
    effort: EffortFlags = field(default_factory=EffortFlags)
    image_input: Flag = NO
    pdf_input: Flag = YES  # the text of PDFs is read for every model
    server_tools: ServerToolFlags = field(default_factory=ServerToolFlags)
    structured_outputs: Flag = NO
    thinking: ThinkingFlags = field(default_factory=ThinkingFlags)


class ModelInfo(Struct, frozen=True, tag="model"):
    """One model, under one of its names (MOD-3, MOD-4). Limits are in tokens.

    Limits and capabilities are null if they are not known, since the model was not loaded yet (MOD-5).

    The last three fields are for clients of the OpenAI-compatible API, which has the same list (MOD-7); `created` is
    `created_at` in seconds since the epoch.
    """

    id: str
    display_name: str
    created_at: str
    max_input_tokens: int | None
    max_tokens: int | None
    capabilities: ModelCapabilities | None
    lifecycle: str = "active"
    line: None = None
    deprecated_at: None = None
    retires_at: None = None
    object: str = "model"
    created: int = 0
    owned_by: str = "dragoman"


class ModelPage(Struct, frozen=True):
    """A page of the list. `has_more` is always present: without it the SDK's pager would never stop (MOD-2)."""

    data: list[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: str = "list"

    @classmethod
    def of(cls, models: list[ModelInfo], limit: int, after_id: str | None, before_id: str | None) -> "ModelPage":
        """At most `limit` models after `after_id`, or before `before_id`."""
        ids = [model.id for model in models]
        if after_id is not None:
            rest = models[ids.index(after_id) + 1 :] if after_id in ids else []
            data = rest[:limit]
        elif before_id is not None:
            rest = models[: ids.index(before_id)] if before_id in ids else []
            data = rest[-limit:]
        else:
            rest = models
            data = rest[:limit]
        edges = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data, len(data) < len(rest), *edges)
