"""The contract between a turn and whatever computes it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from dragoman.constraints.tree import Constraint
from dragoman.conversation import Sampling

SHORT_PROMPT: Final = 512
"""Tokens that are read in a step or two, even without a GPU: a title, a probe. Such a job need not wait behind long ones."""
FEWEST_WITH_A_SPARE: Final = 4
"""Of so many slots and more, one is kept for short jobs."""


class EngineRequest(Struct, frozen=True):
    """One piece of work.

    `tokens` is the whole prompt. `limit` is the number of tokens to generate at most, at least 0: with 0 the engine reads the
    prompt (and keeps it for the next one) and generates nothing. The caller has made sure that both fit the window. What is
    generated follows `constraint`, from its first token on; only an engine that said that it `constrains` gets one. `adapter`
    is one of those that the engine named, None for the model as it is. Jobs with the same `affinity`, which has letters and
    digits only, share most of their prompt: a router may keep them together.
    """

    tokens: Sequence[int]
    limit: int
    sampling: Sampling
    constraint: Constraint | None = None
    adapter: str | None = None
    affinity: str | None = None


class FinishReason(StrEnum):
    """Why the engine stopped by itself. A failure is an exception, not a reason."""

    STOP = "stop"  # the model ended its turn
    LENGTH = "length"  # `limit` tokens were generated, or the window is full


class Finish(Struct, frozen=True):
    """The end of the work, once, on the last piece.

    `cached` is how many tokens of the prompt were not computed again, from an engine that only tells at the end.
    """

    reason: FinishReason
    cached: int | None = None


class PrefillProgress(Struct, frozen=True):
    """How far the prompt has been read, in tokens. `done` counts the `cached` ones, which were not computed again.

    `cached` is None where the engine does not know it yet.
    """

    total: int
    cached: int | None
    done: int


class OutputChunk(Struct, frozen=True):
    """What the engine has to say at one moment.

    `text` holds whole code points only; `output` is the number of tokens generated for it (several where one token was no
    whole character, 0 on pieces that only report). `prefill` comes before any text, as often as the engine cares to.
    """

    text: str = ""
    output: int = 0
    prefill: PrefillProgress | None = None
    finish: Finish | None = None


class EngineKind(StrEnum):
    """An engine and the endpoint of it that is used, as far as that decides what a request can ask for."""

    LLAMA_CPP = "llama.cpp"  # embedded
    LLAMA_SERVER = "llama-server"
    VLLM = "vLLM"
    SGLANG = "SGLang"
    LMDEPLOY = "LMDeploy"
    LMDEPLOY_GENERATE = "LMDeploy, /generate"
    SCRIPTED = "scripted"
    OTHER = "other"  # an engine of somebody else's making, which keeps the contract of `Engine`


class Capabilities(Struct, frozen=True):
    """What an engine said of itself and its model when it was asked at the start.

    `kind` decides which fields of a request can be honoured.
    `window` is the room for prompt and output together, in tokens, of one job. `slots` is how many jobs run at once.
    `chat_template` is the model's own Jinja source, where it has one. `constrains`: it was seen to hold a constraint;
    `formats`: one whose root is a `Json` at least.
    `adapters` are the names of the model's variants that a job may ask for. `found` tells people what the probes found.
    """

    model: str
    window: int
    slots: int
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    constrains: bool = False
    formats: bool = False
    adapters: Sequence[str] = ()
    kind: EngineKind = EngineKind.OTHER
    found: Mapping[str, str] = {}


class Engine(ABC):
    """One model, ready to work. Every method may be called from many tasks at once, on one event loop."""

    restarts = 0
    """How often it died and was brought up again, where it can be."""

    @property
    def status(self) -> str:
        """One word for a health page: "ready" when work would be taken up at once."""
        return "ready"

    @property
    def vocabulary(self) -> int | None:
        """How many token ids there are, from 0 on; None where the engine does not say."""
        return None

    @abstractmethod
    async def start(self) -> Capabilities:
        """Bring the engine up, or reach it, and say what it can do.

        Raises `EngineFailed` where it cannot come up, `EngineUnavailable` where it cannot be reached.
        """

    async def prepare(self, constraint: Constraint) -> None:  # noqa: B027 -- most engines have nothing to do
        """Make ready what holds a constraint, so that a job with it begins at once. By default there is nothing to do.

        Raises `InvalidRequest` where that costs too much, `EngineFailed` where it cannot be held, and as `generate`.
        """

    @abstractmethod
    def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Work off a job, piece by piece; the last piece, and only it, carries `finish`.

        Closing the iterator, or cancelling the task that awaits it, cancels the work within one step of the engine, in every
        phase; what was computed of the prompt stays cached. Raises `EngineFailed` or `EngineUnavailable`.
        """

    @abstractmethod
    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Text to token ids, nothing added in front or behind.

        With `special`, the spelling of a special token becomes that token; without, it is ordinary text. Raises as `generate`.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything. Idempotent."""
