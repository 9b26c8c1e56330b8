"""The interface of an inference engine: requests, output chunks, capabilities and the `Engine` base class."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from dragoman.constraints.tree import Constraint
from dragoman.conversation import Image, Sampling, Span
from dragoman.parts import LogProb

SHORT_PROMPT: Final = 512
"""The most tokens of a short prompt (a title, a probe): it is prefilled in a step or two even without a GPU, so it need not
wait for long ones."""
FEWEST_WITH_RESERVED_SLOT: Final = 4
"""With at least this many slots, one is reserved for requests with short prompts."""


class Routing(Struct, frozen=True):
    """Where an engine request goes: `adapter` is one that the engine listed, None for the base model.

    Requests with the same `affinity` (letters and digits only) share most of their prompt: a router may send them to the same
    server. `trace` are the headers by which the engine's spans join the trace of the request. `continued`: a later request may
    begin with this one and its answer, as in a conversation; one of a batch has no next turn.
    """

    adapter: str | None = None
    affinity: str | None = None
    trace: Mapping[str, str] = {}
    continued: bool = True


NO_ROUTING: Final = Routing()


class EngineRequest(Struct, frozen=True):
    """One request to an engine.

    `tokens` is the whole prompt. `limit` is the most tokens to generate, at least 0: with 0 the engine prefills the prompt (and
    caches it for the next request) and generates nothing. The caller has checked that both fit the context window.
    The output follows `constraint` from its first token on; only engines that report `constrains` get one.
    `spans` are the same prompt as texts and images, only if it has images, which only engines that report `images` get.
    `special_tokens` are the spellings of special tokens that must be in the text of the output, because they are markers of the
    dialect; others may be there, too.
    `ids`: the chunks must have the ids of their tokens. `top`: also the log-probability of each, and those of that many of the
    likeliest tokens at its place. Only engines that report `token_ids` and `logprobs` get them; others may send ids unasked.
    """

    tokens: Sequence[int]
    limit: int
    sampling: Sampling
    constraint: Constraint | None = None
    routing: Routing = NO_ROUTING
    spans: Sequence[Span] = ()
    special_tokens: Sequence[str] = ()
    ids: bool = False
    top: int | None = None


class FinishReason(StrEnum):
    """Why the engine stopped generating. A failure is an exception, not a reason."""

    STOP = "stop"  # the model ended its answer
    LENGTH = "length"  # `limit` tokens were generated, or the window is full


class Drafts(Struct, frozen=True):
    """How many tokens speculative decoding drafted, and how many of them the model accepted."""

    drafted: int = 0
    accepted: int = 0


NO_DRAFTS: Final = Drafts()


class Finish(Struct, frozen=True):
    """The end of the generation, on the last chunk only.

    `cached` is the number of cached prompt tokens, from engines that report it only at the end; so are the `drafts`.
    """

    reason: FinishReason
    cached: int | None = None
    drafts: Drafts = NO_DRAFTS


class PrefillProgress(Struct, frozen=True):
    """The progress of the prefill, in tokens. `done` includes the `cached` ones, which were not computed again.

    `cached` is None where the engine does not know it yet.
    """

    total: int
    cached: int | None
    done: int


class OutputChunk(Struct, frozen=True, gc=False):
    """A chunk of an engine's output: text, prefill progress or the end.

    `text` holds whole code points only; `output` is the number of tokens generated for it (several where one token was not a
    whole character, 0 on chunks that only report). `prefill` comes before any text, as often as the engine reports it.
    `ids` are the ids of these tokens, and `logprobs` has an entry for each; a token that ends the answer may be missing, and
    what is missing in the text (an unfinished character) may be missing here.
    """

    text: str = ""
    output: int = 0
    prefill: PrefillProgress | None = None
    finish: Finish | None = None
    ids: Sequence[int] = ()
    logprobs: Sequence[LogProb] = ()


class EngineKind(StrEnum):
    """An engine and the endpoint that is used, as far as they decide which request fields can be honoured."""

    LLAMA_CPP = "llama.cpp"  # embedded
    LLAMA_SERVER = "llama-server"
    VLLM = "vLLM"
    SGLANG = "SGLang"
    LMDEPLOY = "LMDeploy"
    LMDEPLOY_GENERATE = "LMDeploy, /generate"
    SCRIPTED = "scripted"
    OTHER = "other"  # a third-party implementation of `Engine`

    @property
    def shares_prompts(self) -> bool:
        """Whether requests that run at the same time share the KV cache of a prompt; llama.cpp has one for each slot."""
        return self not in (EngineKind.LLAMA_CPP, EngineKind.LLAMA_SERVER)


class Capabilities(Struct, frozen=True):
    """The capabilities of an engine and its model, as reported and probed at start-up.

    `kind` decides which fields of a request can be honoured.
    `window` is the context length of one request (prompt and output together), in tokens. `slots` is how many requests run at
    once. `chat_template` is the model's own Jinja source, where it has one. `constrains`: a probe showed that it enforces
    constraints; `formats`: it enforces at least those whose root is a `Json`.
    `images`: engine and model read images (PNG and JPEG); then `reserved` are spellings that the engine would misread in a
    prompt with images, so that text must not contain them, and `beginning` is a special token that it puts before every prompt
    with images that does not begin with it.
    `token_ids`: it reports the ids of the tokens that it generates; `marker_ids`: those of the `special_tokens` of a request
    also unasked. `spells_markers`: a constraint may make it spell special tokens with ordinary ones. `logprobs`: it reports
    log-probabilities, `prompt_logprobs`: also those of a prompt (`score`).
    `adapters` are the names of the model's variants that a request may name. `found` describes the probe results for people.
    """

    model: str
    window: int
    slots: int
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    constrains: bool = False
    formats: bool = False
    images: bool = False
    reserved: Sequence[str] = ()
    beginning: str = ""
    token_ids: bool = False
    marker_ids: bool = False
    spells_markers: bool = True
    logprobs: bool = False
    prompt_logprobs: bool = False
    adapters: Sequence[str] = ()
    kind: EngineKind = EngineKind.OTHER
    found: Mapping[str, str] = {}


class Engine(ABC):
    """An engine that serves one model. Every method may be called from many tasks at once, on one event loop."""

    restarts = 0
    """How often the engine died and was restarted, for engines that can be."""

    @property
    def status(self) -> str:
        """One word for a health page: "ready" when a request would be started at once."""
        return "ready"

    @property
    def vocabulary(self) -> int | None:
        """The number of token ids, which begin at 0; None where the engine does not report it."""
        return None

    @property
    def conversations(self) -> int | None:
        """The number of conversations whose prompts are in its KV cache; None where it is not known."""
        return None

    @abstractmethod
    async def start(self) -> Capabilities:
        """Start the engine, or connect to it, and return its capabilities.

        Raises `EngineFailed` where it cannot start, `EngineUnavailable` where it cannot be reached.
        """

    async def prepare(self, constraint: Constraint) -> None:  # noqa: B027 -- most engines have nothing to do
        """Compile a constraint ahead of time, so that a request with it starts at once. Does nothing by default.

        Raises `InvalidRequest` where that costs too much, `EngineFailed` where it cannot be enforced, and as `generate`.
        """

    @abstractmethod
    def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run a request and yield its output chunks; the last one, and only it, carries `finish`.

        Closing the iterator, or cancelling the task that awaits it, cancels the request within one step of the engine, in every
        phase; the part of the prompt that was computed stays cached. Raises `EngineFailed` or `EngineUnavailable`.
        """

    @abstractmethod
    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of a text, with nothing added at either end.

        With `special`, the spelling of a special token becomes that token; without, it is ordinary text. Raises as `generate`.
        """

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens spelled out. Only for engines that report `token_ids`. Raises as `generate`."""
        raise NotImplementedError

    async def score(self, tokens: Sequence[int], top: int) -> Sequence[LogProb]:
        """The log-probability of each token of a prompt, and those of the `top` likeliest tokens at its place.

        That of the first one is None. Only for engines that report `prompt_logprobs`. Raises as `generate`.
        """
        raise NotImplementedError

    async def accept_images(self, notation: str) -> bool:
        """Whether images can be sent to an engine that reports `images`. Called once, after `start`.

        `notation` is what the chat template writes for an image, "" if it writes nothing. By default, they can.
        """
        return True

    async def image_length(self, image: Image) -> int:
        """The number of tokens of an image in a prompt. Only for engines that report `images`. Raises as `generate`."""
        raise NotImplementedError

    @abstractmethod
    async def close(self) -> None:
        """Release all resources. Idempotent."""
