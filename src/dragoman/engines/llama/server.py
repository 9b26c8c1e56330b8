"""llama.cpp's server, by its token door: `POST /completion` with token ids in, text out.

What the server does, and this file has to know:

- It answers nothing, not even a status, before the job has a slot. Then come chunks of prefill progress (with an empty text and
  a made-up token), then one chunk per piece of whole characters with the number of tokens generated *so far*, then the last
  one with `stop: true`, which would echo the whole prompt and all settings if `response_fields` did not trim it.
- `n_predict: 0` generates a token all the same.
- A closed connection cancels the work: between two batches of the prompt, or at the next token. Nothing else does. So every
  call has a connection of its own, and closing it is the one way to leave. While a job waits for a slot and other slots are
  busy, the server does not look whether its client is still there: so jobs wait here, and no more are sent than it has slots.
- It closes connections after a stream, and holds a thread for each idle one: there is nothing to gain by keeping any.
- An error after the first byte is an event, `data: {"error": …}`, or `error: …` in older versions.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import PurePath
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from dragoman.constraints.compiler import TRIAL, Grammars
from dragoman.constraints.tree import Constraint
from dragoman.engines.base import (
    Capabilities,
    Engine,
    EngineKind,
    EngineRequest,
    Finish,
    FinishReason,
    OutputChunk,
    PrefillProgress,
)
from dragoman.engines.http import EngineFault, EngineHttp, fault
from dragoman.engines.liveness import ProbeTimes
from dragoman.engines.llama.slot_choice import SlotChoice
from dragoman.engines.reply import ReplyDecoder
from dragoman.engines.sse import EventSplitter
from dragoman.engines.watch import USUAL_LOOKS, HealthWatch
from dragoman.engines.window import clamped
from dragoman.errors import EngineFailed

_FINISHES: Final = {"eos": FinishReason.STOP, "word": FinishReason.STOP, "limit": FinishReason.LENGTH}


class LlamaServer(Engine):
    """A llama-server at an address: `http://host:port`, or `unix:///path/of.sock`.

    A sampling field that the job leaves open is left out of the request, so that the recommendation in the GGUF file or the
    server's command line decides, and in the last place llama.cpp (temperature 0.8, top-k 40, top-p 0.95, min-p 0.05).
    """

    def __init__(  # noqa: PLR0913 -- what is not for errors is from the command line
        self,
        address: str,
        *,
        key: str | None = None,
        window: int | None = None,
        name: str | None = None,
        lost: str | None = None,
        alone: bool = False,
        looks: ProbeTimes = USUAL_LOOKS,
    ) -> None:
        """`window` is the most that a conversation may have, where that is less than the server's.

        `name` is what errors call the server, `lost` what they say when the connection breaks while it is at work.
        `alone`: nobody else uses the server, so that what its slots hold is known and can be chosen among; and its process is
        supervised. A server that somebody else runs is watched, by `looks`.
        """
        self._http = EngineHttp("llama-server", address, key=key, name=name, lost=lost)
        self._most = window
        self._seats = asyncio.Semaphore()  # one, until the server has said how many
        self._alone = alone
        self._slots: SlotChoice | None = None
        self._looks = looks
        self._watch: HealthWatch | None = None
        self._grammars = Grammars(self.tokenize)
        self._vocabulary: int | None = None

    async def start(self) -> Capabilities:
        """Ask the server what it runs."""
        props = await self._http.call("GET", "/props", _Props)
        models = await self._http.call("GET", "/v1/models", _Models)
        self._vocabulary = models.data[0].meta.n_vocab if models.data and models.data[0].meta else None
        self._seats = asyncio.Semaphore(props.total_slots)
        self._slots = SlotChoice(props.total_slots) if self._alone else None
        if not self._alone:
            self._watch = HealthWatch(self._http.name, self._identity, give_up=self._http.give_up, looks=self._looks)
            await self._watch.begin()
        return Capabilities(
            model=_model_name(models.data[0].id if models.data else props.model_path),
            window=clamped(props.default_generation_settings.n_ctx, self._most, self._http.name),
            slots=props.total_slots,
            chat_template=props.chat_template or None,
            bos_token=props.bos_token,
            eos_token=props.eos_token,
            constrains=await self._constrains(),
            kind=EngineKind.LLAMA_CPP if self._alone else EngineKind.LLAMA_SERVER,
        )

    async def _constrains(self) -> bool:
        """Does the server hold a grammar? One built without llguidance refuses it, or ignores it without a word."""
        trial = {"prompt": "x", "n_predict": 1, "grammar": TRIAL.grammar, "temperature": 0}
        if self._alone:
            trial["id_slot"] = 0  # so that of the others none was used before
        try:
            return (await self._http.call("POST", "/completion", _Chunk, msgspec.json.encode(trial))).content == TRIAL.answer
        except EngineFailed:
            return False

    @property
    def status(self) -> str:
        """As the watch found it."""
        return self._watch.status if self._watch is not None else super().status

    @property
    def vocabulary(self) -> int | None:
        """As the server said at the start."""
        return self._vocabulary

    async def _identity(self) -> str:
        props = await self._http.call("GET", "/props", _Props)
        return f"{props.model_path or 'its model'}, window {props.default_generation_settings.n_ctx}"

    async def prepare(self, constraint: Constraint) -> None:
        """Compile the grammar."""
        await self._grammars.of(constraint)

    async def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run the job on a connection of its own, as soon as there is a slot for it."""
        grammar = await self._grammars.of(job.constraint) if job.constraint is not None else UNSET
        async with self._watched(), self._seat(job) as slot:
            completion = CompletionReader(silent=job.limit == 0)
            async with self._http.work("/completion", _encode(job, grammar, slot), affinity=job.affinity) as answer:
                async for data in answer:
                    if self._watch is not None:
                        self._watch.sign()
                    for piece in completion.feed(data):
                        yield piece
                    if completion.finished:
                        return
            raise self._http.lost()

    def _watched(self) -> AbstractAsyncContextManager[None]:
        return self._watch.work() if self._watch is not None else nullcontext()

    @asynccontextmanager
    async def _seat(self, job: EngineRequest) -> AsyncIterator[int | UnsetType]:
        """Wait until there is a slot; gives the one that the job should have, if it matters."""
        async with self._seats:
            if self._slots is None:
                yield UNSET
                return
            seat = self._slots.take(job.tokens)
            try:
                if seat.request_cache_flush is not None:
                    request_cache_flush = EngineRequest(job.tokens[:1], 1, job.sampling)
                    async with self._http.work("/completion", _encode(request_cache_flush, slot=seat.request_cache_flush)):
                        pass
                yield seat.slot if seat.named else UNSET
            finally:
                self._slots.leave(seat)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Ask the server's own tokenizer."""
        body = msgspec.json.encode({"content": text, "parse_special": special, "add_special": False})
        return (await self._http.call("POST", "/tokenize", _Tokens, body)).tokens

    async def probe(self) -> None:
        """Ask for a sign of life; a thread that computes nothing answers. Raises `EngineError`."""
        await self._http.ping("/health")

    async def slots(self) -> "list[Slot]":
        """What each slot is doing. Raises as `tokenize`, also where the server was started without this view."""
        return await self._http.call("GET", "/slots", list[Slot])

    async def close(self) -> None:
        """Close every connection; the server goes on."""
        if self._watch is not None:
            await self._watch.close()
        await self._http.close()


class CompletionReader:
    """Bytes of a completion's stream in, pieces out, however the bytes arrive. Sans-IO.

    `silent` is for a job of no tokens: what the server generates nevertheless is not passed on.
    """

    __slots__ = ("_events", "_output", "_silent", "finished")

    def __init__(self, *, silent: bool = False) -> None:
        self.finished = False
        self._silent = silent
        self._events = EventSplitter()
        self._output = 0

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The pieces that `data` completes. Raises `EngineFailed` at the event that reports a failure or makes no sense."""
        for event in self._events.feed(data):
            if not event.startswith(b"data: "):
                _check_other(event)
                continue
            chunk = _chunk(event[6:])
            if chunk.error is not None:
                raise EngineFailed(f"the engine failed: {chunk.error.message}")
            if self._silent:
                chunk.content, chunk.tokens_predicted = "", 0
            output = chunk.tokens_predicted - self._output
            self._output = chunk.tokens_predicted
            if chunk.stop:
                self.finished = True
                yield OutputChunk(chunk.content, output, finish=Finish(self._reason(chunk.stop_type)))
                return
            if chunk.prompt_progress is not None:
                progress = chunk.prompt_progress
                yield OutputChunk(prefill=PrefillProgress(progress.total, progress.cache, progress.processed))
            elif output or chunk.content:
                yield OutputChunk(chunk.content, output)

    def _reason(self, stop_type: str) -> FinishReason:
        if self._silent:
            return FinishReason.LENGTH
        reason = _FINISHES.get(stop_type)
        if reason is None:
            raise EngineFailed(f"the engine stopped for a reason it does not name: {stop_type}")
        return reason


class Slot(Struct):
    """One seat of the server, and the job that has it or had it last. Counts are in tokens."""

    id: int
    is_processing: bool
    n_ctx: int
    n_prompt_tokens: int = 0
    n_prompt_tokens_processed: int = 0
    n_prompt_tokens_cache: int = 0


class _Completion(Struct):
    prompt: Sequence[int]
    n_predict: int
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    min_p: float | UnsetType = UNSET
    repetition_penalty: float | UnsetType = field(default=UNSET, name="repeat_penalty")
    grammar: str | UnsetType = UNSET
    id_slot: int | UnsetType = UNSET
    stream: bool = True
    return_progress: bool = True
    cache_prompt: bool = True
    response_fields: tuple[str, ...] = ("content", "stop", "stop_type", "tokens_predicted")


class _Progress(Struct):
    total: int
    cache: int
    processed: int


class _Chunk(Struct, gc=False):
    content: str = ""
    tokens_predicted: int = 0
    stop: bool = False
    stop_type: str = "none"
    prompt_progress: _Progress | None = None
    error: EngineFault | None = None


class _Settings(Struct):
    n_ctx: int


class _Props(Struct):
    default_generation_settings: _Settings
    total_slots: int
    model_path: str = ""
    chat_template: str = ""
    bos_token: str = ""
    eos_token: str = ""


class _Meta(Struct):
    n_vocab: int | None = None


class _Model(Struct):
    id: str
    meta: _Meta | None = None


class _Models(Struct):
    data: list[_Model]


class _Tokens(Struct):
    tokens: list[int]


_chunk = ReplyDecoder(_Chunk)


def _encode(job: EngineRequest, grammar: str | UnsetType = UNSET, slot: int | UnsetType = UNSET) -> bytes:
    chosen = job.sampling.chosen
    return msgspec.json.encode(
        _Completion(prompt=job.tokens, n_predict=max(job.limit, 1), grammar=grammar, id_slot=slot, **chosen)
    )


def _check_other(event: bytes) -> None:
    """Comments keep a connection alive; `error:` is how older servers report a failure; nothing else is expected."""
    if event.startswith(b"error:"):
        raise EngineFailed(f"the engine failed: {fault(event[6:])}")
    if event and not event.startswith(b":"):
        raise EngineFailed(f"the engine broke its protocol: {event[:80]!r} is no event")


def _model_name(name: str) -> str:
    """The file's name without its ending, where the server has nothing better to offer than a path."""
    return PurePath(name).stem if name.endswith(".gguf") else name
