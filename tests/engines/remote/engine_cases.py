"""The engines that must all behave alike, and the listed differences with their reasons."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from controllable_engine import ControllableEngine
from dragoman.engines import Engine
from dragoman.engines.llama.server import LlamaServer
from dragoman.engines.lmdeploy.endpoints import GenerateEndpoint, LMDeployEndpoint
from dragoman.engines.lmdeploy.engine import LMDeploy
from dragoman.engines.scripted import Line
from dragoman.engines.sglang.engine import SGLang
from dragoman.engines.vllm.engine import Vllm
from dragoman.errors import EngineUnavailable
from engines.real_servers.upstream import RealLMDeploy, RealSGLang
from engines.remote.fake_engine import GREETING, MESSAGES, EngineFault, ReceivedRequest
from engines.remote.fake_engines import (
    LlamaGbnfUpstream,
    LlamaUpstream,
    LMDeployParsingUpstream,
    LMDeployUpstream,
    SGLangDeltasUpstream,
    SGLangUpstream,
    VllmGuidanceUpstream,
    VllmUpstream,
)


class ScriptedUpstream(ControllableEngine):
    """The scripted engine, which is its own upstream: the test controls it as it controls a fake engine."""

    messages: ClassVar = {**MESSAGES, "fails midway": "the engine fails here"}

    def __init__(self, _folder: Path) -> None:
        super().__init__(window=2048)
        self.says(*GREETING.tokens)

    def start_upstream(self) -> None:
        """Do nothing: there is no server to start."""

    stop_upstream = start_upstream

    def says(self, *tokens: Any, cached: int = 0, fault: EngineFault | None = None) -> str:  # type: ignore[override]
        text = b"".join(token.encode() if isinstance(token, str) else token for token in tokens).decode()
        self.cached = cached
        self.fails_at_once = fault == "loads"
        self.failure = EngineUnavailable("the model is loading") if fault == "loads" else None
        self.line = Line(text, chunk=3, finish_reason="error" if fault == "fails midway" else "stop")
        return self.url

    def reset(self) -> None:
        super().reset()
        self.says(*GREETING.tokens)

    def hold(self, at: int) -> None:  # type: ignore[override]
        """A fake engine counts its events from 0, and its status is -1; here the prefill chunk is the first one."""
        self._gate, self._held_chunk = asyncio.Event(), max(at, 0)

    @property
    def holding(self) -> int:
        return self.waiting

    @property
    def disconnects(self) -> int:
        return self.closed

    @property
    def received(self) -> Sequence[ReceivedRequest]:
        return [ReceivedRequest(prompt, 0, "", {}) for prompt in self.prompts]


@dataclass(frozen=True)
class EngineCase:
    """An engine under test: its fake upstream, and a function that makes the adapter, with options."""

    name: str
    upstream: Callable[[Path], Any]
    connect: Callable[..., Engine]


ENGINE_CASES = [
    EngineCase("scripted", ScriptedUpstream, lambda upstream, **_: upstream),
    EngineCase("llama-server", LlamaUpstream, lambda upstream, **options: LlamaServer(upstream.url, **options)),
    EngineCase("vllm", VllmUpstream, lambda upstream, **options: Vllm(upstream.url, Path, **options)),
    EngineCase("vllm, guidance", VllmGuidanceUpstream, lambda upstream, **options: Vllm(upstream.url, Path, **options)),
    EngineCase("sglang", SGLangUpstream, lambda upstream, **options: SGLang(upstream.url, Path, **options)),
    EngineCase("sglang, deltas", SGLangDeltasUpstream, lambda upstream, **options: SGLang(upstream.url, Path, **options)),
    EngineCase("lmdeploy", LMDeployUpstream, lambda upstream, **options: LMDeploy(upstream.url, Path, **options)),
    EngineCase(
        "lmdeploy, generate", LMDeployParsingUpstream, lambda upstream, **options: LMDeploy(upstream.url, Path, **options)
    ),
]

WITHOUT_LLGUIDANCE = EngineCase(
    "llama-server, gbnf", LlamaGbnfUpstream, lambda upstream, **options: LlamaServer(upstream.url, **options)
)
"""It differs in nothing but its constraints."""


class GeneratingLMDeploy(LMDeploy):
    """The adapter at a server whose chat endpoint parses, so that the other endpoint is used."""

    async def _choose_endpoint(self) -> LMDeployEndpoint:
        return GenerateEndpoint()


REAL_CASES = [
    EngineCase("lmdeploy, real", RealLMDeploy, lambda upstream, **options: LMDeploy(upstream.url, Path, **options)),
    EngineCase(
        "lmdeploy, generate, real", RealLMDeploy, lambda upstream, **options: GeneratingLMDeploy(upstream.url, Path, **options)
    ),
    EngineCase("sglang, real", RealSGLang, lambda upstream, **options: SGLang(upstream.url, Path, **options)),
]
"""The real servers, for the slow tests."""

DIFFERENCES = {
    ("scripted", "counts tokens"): "its tokens are words, and no token ends a generation",
    ("scripted", "refuses"): "it accepts every request",
    ("scripted", "hangs up"): "there is no connection",
    ("scripted", "breaks off"): "there is no connection",
    ("scripted", "restarts"): "it runs in this process",
    ("scripted", "is sent constraints"): "it does not enforce constraints",
    ("scripted", "can be lowered"): "the test sets its context length",
    ("lmdeploy", "reports its context length"): "the user's value is used for it",
    ("lmdeploy, generate", "reports its context length"): "the user's value is used for it",
    ("vllm, guidance", "reports cached tokens early"): "its counts come after the text",
    ("vllm", "reports cached tokens early"): "its counts come after the text",
    ("lmdeploy", "reports cached tokens early"): "its counts come after the text",
    ("sglang", "uses the whole context"): "prompt and answer have to stay below it",
    ("sglang, deltas", "uses the whole context"): "prompt and answer have to stay below it",
    ("lmdeploy", "enforces calls"): "it enforces JSON schemas, and no text around them",
    ("lmdeploy", "is sent constraints"): "it enforces JSON schemas, and no text around them",
    ("lmdeploy, generate", "reports cached tokens early"): "it does not report cached tokens",
    ("lmdeploy, generate", "reports cached tokens"): "it does not report cached tokens",
    ("lmdeploy, generate", "enforces calls"): "this endpoint has no field for constraints",
    ("lmdeploy, generate", "enforces formats"): "this endpoint has no field for constraints",
    ("lmdeploy, generate", "is sent constraints"): "this endpoint has no field for constraints",
}
"""The behaviours in which an engine differs from the others, and the reasons. The tests assert the difference as well."""
_OF_REAL_SERVERS = {
    "hangs up": "only the end of its process closes a connection",
    "breaks off": "only the end of its process closes a connection",
    "restarts": "its start takes many seconds, and the stand-in's restart shows the same",
}
"""What a real server has besides the differences of its stand-in."""
for _real in REAL_CASES:
    _stand_in = _real.name.removesuffix(", real")
    DIFFERENCES |= {(_real.name, behaviour): reason for behaviour, reason in _OF_REAL_SERVERS.items()}
    DIFFERENCES |= {(_real.name, what): reason for (name, what), reason in DIFFERENCES.items() if name == _stand_in}


def differs(case: EngineCase, behaviour: str) -> bool:
    """Whether the engine is listed as different in this behaviour."""
    assert behaviour in {listed for _, listed in DIFFERENCES}
    return (case.name, behaviour) in DIFFERENCES
