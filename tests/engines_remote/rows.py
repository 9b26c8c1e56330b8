"""The engines that all have to behave alike, and where one cannot, why."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controllable_engine import ControllableEngine
from dragoman.engines import Engine
from dragoman.engines.llama.server import LlamaServer
from dragoman.engines.lmdeploy.engine import LMDeploy
from dragoman.engines.scripted import Line
from dragoman.engines.sglang.engine import SGLang
from dragoman.engines.vllm.engine import Vllm
from dragoman.errors import EngineUnavailable
from engines_remote.upstream import QUIET, Asked, EngineFault
from engines_remote.wires import (
    LlamaUpstream,
    LMDeployHarmonyUpstream,
    LMDeployUpstream,
    SGLangNewsUpstream,
    SGLangUpstream,
    VllmGuidanceUpstream,
    VllmUpstream,
)


class Played(ControllableEngine):
    """The scripted engine, which is its own upstream: the test controls it as it controls a stand-in."""

    def __init__(self, _folder: Path) -> None:
        super().__init__(window=2048)
        self.says(*QUIET.tokens)

    def start_upstream(self) -> None:
        """There is nothing to start."""

    stop_upstream = start_upstream

    def says(self, *tokens: Any, cached: int = 0, fault: EngineFault | None = None) -> str:
        text = b"".join(token.encode() if isinstance(token, str) else token for token in tokens).decode()
        self.cached = cached
        self.fails_at_once = fault == "loads"
        self.failure = EngineUnavailable("the model is loading") if fault == "loads" else None
        self.line = Line(text, chunk=3, finish_reason="error" if fault == "fails midway" else "stop")
        return self.url

    def reset(self) -> None:
        super().reset()
        self.says(*QUIET.tokens)

    def hold(self, at: int) -> None:  # type: ignore[override]
        """A stand-in counts its events from 0, and its status is -1; here the report on the prompt is the first of all."""
        self._gate, self._held_chunk = asyncio.Event(), max(at, 0)

    @property
    def holding(self) -> int:
        return self.waiting

    @property
    def left(self) -> int:
        return self.closed

    @property
    def asked(self) -> Sequence[Asked]:
        return [Asked(prompt, 0, "", {}) for prompt in self.prompts]


@dataclass(frozen=True)
class Row:
    """An engine: what stands for it, and the adapter to that, with the adapter's options."""

    name: str
    upstream: Callable[[Path], Any]
    connect: Callable[..., Engine]


ROWS = [
    Row("scripted", Played, lambda played, **_: played),
    Row("llama-server", LlamaUpstream, lambda upstream, **options: LlamaServer(upstream.url, **options)),
    Row("vllm", VllmUpstream, lambda upstream, **options: Vllm(upstream.url, Path, **options)),
    Row("vllm, guidance", VllmGuidanceUpstream, lambda upstream, **options: Vllm(upstream.url, Path, **options)),
    Row("sglang", SGLangUpstream, lambda upstream, **options: SGLang(upstream.url, Path, **options)),
    Row("sglang, news", SGLangNewsUpstream, lambda upstream, **options: SGLang(upstream.url, Path, **options)),
    Row("lmdeploy", LMDeployUpstream, lambda upstream, **options: LMDeploy(upstream.url, Path, **options)),
    Row("lmdeploy, generate", LMDeployHarmonyUpstream, lambda upstream, **options: LMDeploy(upstream.url, Path, **options)),
]

DIFFERENCES = {
    ("scripted", "counts tokens"): "its tokens are words, and nothing ends a turn but the end of the line",
    ("scripted", "refuses"): "it takes whatever it is given",
    ("scripted", "hangs up"): "there is no connection",
    ("scripted", "breaks off"): "there is no connection",
    ("scripted", "restarts"): "it lives and dies with this process",
    ("scripted", "is told of constraints"): "the script is the model, constraint and all",
    ("scripted", "is lowered"): "its window is what the test says, and not asked for",
    ("lmdeploy", "says its window"): "so what the user says is taken for it",
    ("lmdeploy, generate", "says its window"): "so what the user says is taken for it",
    ("vllm, guidance", "tells early what was cached"): "it counts behind the text",
    ("vllm", "tells early what was cached"): "it counts behind the text",
    ("lmdeploy", "tells early what was cached"): "it counts behind the text",
    ("sglang", "uses the whole window"): "prompt and answer have to stay below it",
    ("sglang, news", "uses the whole window"): "prompt and answer have to stay below it",
    ("lmdeploy", "holds calls"): "it has JSON schemas, and nothing for the text around them",
    ("lmdeploy", "is told of constraints"): "it has JSON schemas, and nothing for the text around them",
    ("lmdeploy, generate", "tells early what was cached"): "it tells nothing of the cache",
    ("lmdeploy, generate", "tells what was cached"): "it tells nothing of the cache",
    ("lmdeploy, generate", "holds calls"): "this door has no field for constraints",
    ("lmdeploy, generate", "holds formats"): "this door has no field for constraints",
    ("lmdeploy, generate", "is told of constraints"): "this door has no field for constraints",
}
"""What an engine does not do as the others do, and why. The tests assert the difference as well."""


def differs(row: Row, behaviour: str) -> bool:
    """Is this a behaviour in which the engine is listed as different?"""
    assert behaviour in {listed for _, listed in DIFFERENCES}
    return (row.name, behaviour) in DIFFERENCES


def alike(behaviour: str) -> list[Row]:
    """The rows that are not listed as different in this."""
    return [row for row in ROWS if not differs(row, behaviour)]
