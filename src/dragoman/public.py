"""The public API: the server as an ASGI application for embedding, and the classes with which other packages extend it."""

from collections.abc import Sequence

from starlette.types import ASGIApp

from dragoman import server
from dragoman.conversation import Image, ImageSpan, TextSpan
from dragoman.dialects import Dialect
from dragoman.engines import (
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
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.parts import LikelyToken, LogProb
from dragoman.plugins import EngineOptions, register_dialects
from dragoman.server import ModelEntry, ModelRegistry, Settings

__all__ = [
    "Capabilities",
    "Dialect",
    "Drafts",
    "Engine",
    "EngineKind",
    "EngineOptions",
    "EngineRequest",
    "Finish",
    "FinishReason",
    "Image",
    "ImageSpan",
    "LikelyToken",
    "Line",
    "LogProb",
    "ModelEntry",
    "OutputChunk",
    "PrefillProgress",
    "Routing",
    "ScriptedEngine",
    "Settings",
    "TextSpan",
    "create_app",
]


def create_app(
    models: Engine | ModelEntry | Sequence[ModelEntry], settings: Settings | None = None, *, memory: int | None = None
) -> ASGIApp:
    """The server as an ASGI application. Its lifespan starts the engine, and closes it at the end.

    Of several models, the first is started; the others are loaded when they are asked for, and unloaded where the loaded
    ones would take more than `memory` bytes together (None: no limit). Raises `BadPlugin` where a dialect of another package
    cannot be used, `ValueError` for models with the same name, or without one.
    """
    register_dialects()
    if isinstance(models, Engine):
        models = ModelEntry.of(models)
    entries = [models] if isinstance(models, ModelEntry) else models
    return server.create_app(ModelRegistry(entries, settings or Settings(), memory=memory))
