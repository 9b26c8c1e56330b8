"""Inference engines: token ids in, text out. Independent of API formats, dialects and templates."""

from dragoman.engines.base import (
    FEWEST_WITH_RESERVED_SLOT,
    NO_ROUTING,
    SHORT_PROMPT,
    Capabilities,
    Drafts,
    Engine,
    EngineKind,
    EngineRequest,
    Finish,
    FinishReason,
    OutputChunk,
    PrefillProgress,
    Routing,
)

__all__ = [
    "FEWEST_WITH_RESERVED_SLOT",
    "NO_ROUTING",
    "SHORT_PROMPT",
    "Capabilities",
    "Drafts",
    "Engine",
    "EngineKind",
    "EngineRequest",
    "Finish",
    "FinishReason",
    "OutputChunk",
    "PrefillProgress",
    "Routing",
]
