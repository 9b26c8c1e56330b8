"""A server with several models on controllable engines, whose loading a test can hold or fail."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from conftest import body, live_registry
from controllable_engine import ControllableEngine
from dragoman import dialects
from dragoman.engines import Capabilities, Engine
from dragoman.server import ModelEntry, ModelRegistry, Settings
from server.http import Answer, get, post

_DIALECT = dialects.get("qwen3")
"""Not detected, so that models load fast."""


class Model:
    """One model of a server; `engines` are all that were built for it, the newest last. It says which model it is."""

    def __init__(self, name: str, *, adapters: Sequence[str] = (), slots: int = 64, **fields: Any) -> None:
        self.name = name
        self.slots = slots
        self.adapters = adapters
        self.engines: list[LoadedEngine] = []
        self.failure: Exception | None = None
        self.loading = 0  # engines that are starting
        self.loop: asyncio.AbstractEventLoop | None = None
        self.gate: asyncio.Event | None = None
        self.entry = replace(ModelEntry(name, self._build, memory=1, dialect=_DIALECT), **fields)

    @property
    def engine(self) -> "LoadedEngine":
        """The engine that runs, or ran last."""
        return self.engines[-1]

    @property
    def says(self) -> str:
        return f"I am {self.name}."

    @property
    def open(self) -> int:
        """How many of its engines started and are not closed."""
        return sum(engine.started and not engine.shut for engine in self.engines)

    def hold_loading(self) -> None:
        """Stop every start of an engine, until `release_loading`."""
        self.gate = asyncio.Event()

    def release_loading(self) -> None:
        gate, self.gate = self.gate, None
        if gate is not None and self.loop is not None:
            self.loop.call_soon_threadsafe(gate.set)

    def _build(self) -> Engine:
        self.engines.append(LoadedEngine(self))
        return self.engine


class LoadedEngine(ControllableEngine):
    """An engine that takes part in no request after it is closed, and is not closed during one."""

    def __init__(self, model: Model) -> None:
        super().__init__(window=model.entry.window or 200_000, slots=model.slots)
        self._model = model
        self.started = self.shut = self.broken_off = False
        self.says(model.says)

    async def start(self) -> Capabilities:
        model = self._model
        model.loop = asyncio.get_running_loop()
        model.loading += 1
        try:
            if model.gate is not None:
                await model.gate.wait()
            if model.failure is not None:
                raise model.failure
        finally:
            model.loading -= 1
        self.started = True
        return structs.replace(await super().start(), adapters=model.adapters)

    async def close(self) -> None:
        self.broken_off = self.opened != self.closed
        self.shut = True
        await super().close()


@dataclass(frozen=True)
class SeveralModels:
    """A running server with several models."""

    url: str
    registry: ModelRegistry
    threads: ThreadPoolExecutor

    def ask(self, model: Model | str, **fields: Any) -> Answer:
        name = model.name if isinstance(model, Model) else model
        return post(self.url, body(**{"model": name, **fields}))

    def said(self, model: Model | str, **fields: Any) -> str:
        """The text of the answer of a model."""
        answer = self.ask(model, **fields)
        assert answer.status == 200, answer.content
        if fields.get("stream"):
            return "".join(event["delta"]["text"] for event in answer.events if event["type"] == "content_block_delta")
        text: str = answer.json["content"][0]["text"]
        return text

    def later(self, model: Model | str, **fields: Any) -> "Future[Answer]":
        """The answer to a request that another thread sends now."""
        return self.threads.submit(self.ask, model, **fields)

    @property
    def statuses(self) -> dict[str, dict[str, Any]]:
        """The status of each model by its id."""
        return {model["id"]: model for model in get(self.url, "/api/models").json["models"]}

    @property
    def states(self) -> dict[str, str]:
        return {name: status["state"] for name, status in self.statuses.items()}


@contextmanager
def serving(models: Sequence[Model], memory: int | None = None, **settings: Any) -> Iterator[SeveralModels]:
    """Serve models, with room for `memory` of them; after the test, no request was broken off and no engine is left."""
    registry = ModelRegistry([model.entry for model in models], replace(Settings(), **settings), memory=memory)
    with ThreadPoolExecutor(16) as threads, live_registry(registry) as url:
        try:
            yield SeveralModels(url, registry, threads)
        finally:
            for model in models:
                model.release_loading()
                for engine in model.engines:
                    engine.release()
    assert [model.name for model in models if model.open] == []
    assert [model.name for model in models if any(engine.broken_off for engine in model.engines)] == []
