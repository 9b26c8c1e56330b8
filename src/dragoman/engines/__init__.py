"""Engines: token ids in, text out. Nothing here knows of Anthropic, of dialects or of templates."""

from dragoman.engines.base import (
    FEWEST_WITH_A_SPARE,
    SHORT_PROMPT,
    Capabilities,
    Engine,
    EngineKind,
    EngineRequest,
    Finish,
    FinishReason,
    OutputChunk,
    PrefillProgress,
)

__all__ = [
    "FEWEST_WITH_A_SPARE",
    "SHORT_PROMPT",
    "Capabilities",
    "Engine",
    "EngineKind",
    "EngineRequest",
    "Finish",
    "FinishReason",
    "OutputChunk",
    "PrefillProgress",
]
