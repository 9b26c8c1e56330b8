"""The public API: the server as an ASGI application for embedding, and the classes with which other packages extend it."""

from starlette.types import ASGIApp

from dragoman import server
from dragoman.conversation import Image, ImageSpan, TextSpan
from dragoman.dialects import Dialect
from dragoman.engines import (
    Capabilities,
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
from dragoman.plugins import EngineOptions, register_dialects
from dragoman.server import ModelRegistry, Settings

__all__ = [
    "Capabilities",
    "Dialect",
    "Engine",
    "EngineKind",
    "EngineOptions",
    "EngineRequest",
    "Finish",
    "FinishReason",
    "Image",
    "ImageSpan",
    "Line",
    "OutputChunk",
    "PrefillProgress",
    "Routing",
    "ScriptedEngine",
    "Settings",
    "TextSpan",
    "create_app",
]


def create_app(engine: Engine, settings: Settings | None = None) -> ASGIApp:
    """The server as an ASGI application. Its lifespan starts the engine, and closes it at the end.

    Raises `BadPlugin` where a dialect of another package cannot be used.
    """
    register_dialects()
    return server.create_app(ModelRegistry(engine, settings or Settings()))
