"""SGLang, by its token door: `POST /generate` with token ids in, text out.

What the server does, and this file has to know:

- It fills what the request leaves open with defaults of its own and not with the model's, and `max_new_tokens` with 128:
  everything is sent.
- A chunk holds all of the text so far. Of a server started with `--incremental-streaming-output` (`--stream-output` in older
  versions, where it was the ids only) it holds what is new. Nothing in the stream says which it is: a trial at the start does.
- Each chunk tells how many tokens were generated so far, and how many of the prompt were cached.
- The status is 200 before anything was checked. A refusal is an event, `data: {"error": …}`, or an end for the reason
  "abort" with a status of its own; a constraint that does not compile is told so.
- An end at a stop string that nobody asked for is how the server says that the model computed no number.
- Prompt and limit together must stay below the window: one token of it is never used.
- A server whose client has gone finds out after seconds; so the work that is left is also called off, by its name.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.engines.base import Capabilities, Finish, FinishReason, Job, Piece, PrefillProgress
from dragoman.engines.http import EngineHttp, Fault
from dragoman.engines.model_folder import ModelFolder
from dragoman.engines.sampling import Settled, settled
from dragoman.engines.sse import DataEvents
from dragoman.engines.structured_outputs import EngineConstraints
from dragoman.engines.token_door import FindFolder, TokenDoor
from dragoman.engines.watch import Watch
from dragoman.errors import EngineError, EngineFailed, EngineRefused, EngineUnavailable

SLOTS: Final = 256
"""Jobs that are sent at once, unless something else was said: the server has a queue of its own."""

_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_PATH: Final = "/generate"
_TRIAL: Final = "1 2 3 4 5"
_TRIAL_TOKENS: Final = 12


class SGLang(TokenDoor):
    """An SGLang server at `address`. `tokenizer` names the folder or the repository of its tokenizer, if its own is not here.

    `window` is the most that a conversation may have, where that is less than the server's.
    """

    def __init__(  # noqa: PLR0913 -- most are options of the command line
        self,
        address: str,
        find_folder: FindFolder,
        *,
        key: str | None = None,
        tokenizer: str | None = None,
        window: int | None = None,
        slots: int = SLOTS,
    ) -> None:
        super().__init__(EngineHttp("SGLang", address, key=key))
        self._find_folder = find_folder
        self._tokenizer = tokenizer
        self._most = window
        self._slots = slots
        self._constraints = EngineConstraints(self.tokenize)
        self._totals = True
        self._calling_off: set[asyncio.Task[None]] = set()

    async def start(self) -> Capabilities:
        """Ask the server what it runs, and try what it can do."""
        served, *adapters = await self._models()
        info = await self._info()
        self.folder = ModelFolder(await asyncio.to_thread(self._find_folder, self._tokenizer or info.path))
        window = min(served.max_model_len - 1, self._most or served.max_model_len)
        self._totals = await self._streams_totals()
        way = await self._constraints.settle(self._holds)
        self.watch = Watch(self._http.name, self._identity)
        await self.watch.begin()
        return Capabilities(
            model=PurePosixPath(served.id).name,
            window=window,
            slots=self._slots,
            chat_template=self.folder.chat_template,
            bos_token=self.folder.bos_token,
            eos_token=self.folder.eos_token,
            constrains=way is not None,
            adapters=[adapter.id for adapter in adapters],
            found={
                "engine": f"SGLang at {self._http.address}",
                "model": info.model_path or served.id,
                "window": f"{window} tokens",
                "tokenizer": str(self.folder.path),
                "adapters": ", ".join(adapter.id for adapter in adapters) or "none",
                "stream": "all so far" if self._totals else "what is new",
                "constraints": way or "none: a forced call is begun in the prompt, and checked",
                "cached tokens": "told",
            },
        )

    async def _models(self) -> "list[_Model]":
        """The model, then its adapters. Raises `EngineFailed` where there is none."""
        models = (await self._http.call("GET", "/v1/models", _Models)).data
        if not models:
            raise EngineFailed(f"{self._http.name} serves no model")
        return models

    async def _info(self) -> "_Info":
        """Where the server has its model from. Older versions have another name for the question."""
        try:
            return await self._http.call("GET", "/model_info", _Info)
        except EngineFailed:
            return await self._http.call("GET", "/get_model_info", _Info)

    async def _identity(self) -> str:
        served, *_ = await self._models()
        return f"{(await self._info()).path} as {served.id}, window {served.max_model_len}"

    async def _streams_totals(self) -> bool:
        """Does each chunk hold all of the text? Raises `EngineFailed` where it holds none."""
        trial = _Sampling(_TRIAL_TOKENS, temperature=0, ignore_eos=True)
        texts = [chunk.text for chunk in await self._tried(trial)]
        if None in texts:
            raise EngineFailed(f"{self._http.name} gives no text: start it without --skip-tokenizer-init")
        spoken = [text for text in texts if text]
        return all(after.startswith(before) for before, after in pairwise(spoken)) and spoken[:1] != spoken[-1:]

    async def _holds(self, held: Raw, answer: str) -> bool:
        """Does the server hold this constraint, whose only answer begins with a character that is no answer to the prompt?"""
        form = _form(held)
        if form is UNSET:
            return False
        try:
            chunks = await self._tried(_Sampling(1, temperature=0, structural_tag=form))
        except EngineFailed:
            return False
        written = chunks[-1].text if chunks else ""
        return bool(written) and answer.startswith(written or "")

    async def _tried(self, sampling: "_Sampling") -> "list[_Chunk]":
        """The chunks of a small job."""
        events, chunks = DataEvents(), []
        body = msgspec.json.encode(_Generate(await self.tokenize(_TRIAL), sampling, uuid4().hex))
        async with self._http.work(_PATH, body) as answer:
            async for data in answer:
                chunks += [_decoded(payload, begun=False) for payload in events.feed(data)]
        return chunks

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Run the job on a connection of its own. A constraint that is refused is relaxed, until it is taken."""
        for step in self._constraints.steps(job.constraint):
            held = _form(await self._constraints.form(job.constraint, step))
            rid = uuid4().hex
            reader = GenerateReader(totals=self._totals, silent=job.limit == 0)
            try:
                async with aclosing(self._read(reader, self._http.work(*self.request(job, rid, held)))) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except EngineRefused as refusal:
                if not self._constraints.relax(job.constraint, step, refusal):
                    raise
            except (asyncio.CancelledError, GeneratorExit):
                self._call_off(rid)
                raise

    def request(self, job: Job, rid: str = "", held: str | UnsetType = UNSET) -> tuple[str, bytes]:
        """Everything is said, see above."""
        chosen: Settled = settled(job.sampling, self.folder.recommended)
        sampling = _Sampling(
            max_new_tokens=max(job.limit, 1),
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            top_k=chosen.top_k or -1,
            min_p=chosen.min_p,
            repetition_penalty=chosen.repetition_penalty,
            sampling_seed=UNSET if job.sampling.seed is None else job.sampling.seed,
            structural_tag=held,
        )
        return _PATH, msgspec.json.encode(_Generate(job.tokens, sampling, rid, job.adapter or UNSET))

    def reader(self, job: Job) -> "GenerateReader":
        """One for each job."""
        return GenerateReader(totals=self._totals, silent=job.limit == 0)

    def _call_off(self, rid: str) -> None:
        """Tell the server that nobody waits for this any more: beside what we do, and whether it listens or not."""
        task = asyncio.create_task(self._abort(rid))
        self._calling_off.add(task)
        task.add_done_callback(self._calling_off.discard)

    async def _abort(self, rid: str) -> None:
        try:
            async with self._http.work("/abort_request", msgspec.json.encode({"rid": rid})):
                pass
        except EngineError:
            pass  # the closed connection says the same, later

    async def close(self) -> None:
        """Close every connection; the engine goes on."""
        if self._calling_off:
            await asyncio.wait(self._calling_off, timeout=1)
        await super().close()


class GenerateReader:
    """Bytes of an answer's stream in, pieces out, however the bytes arrive. Sans-IO.

    `totals`: each chunk holds all of the text. `silent` is for a job of no tokens: the one that comes all the same is not
    passed on.
    """

    __slots__ = ("_begun", "_events", "_output", "_silent", "_text", "_totals", "finished")

    def __init__(self, *, totals: bool, silent: bool = False) -> None:
        self.finished = False
        self._events = DataEvents()
        self._totals = totals
        self._silent = silent
        self._begun = False
        self._text = ""
        self._output = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` completes. Raises `EngineRefused` at a refusal in the place of the first of them."""
        for payload in self._events.feed(data):
            chunk = _decoded(payload, begun=self._begun)
            meta = chunk.meta_info
            if not self._begun:
                self._begun = True
                yield Piece(prefill=PrefillProgress(meta.prompt_tokens, meta.cached_tokens, meta.prompt_tokens))
            text, output = self._new(chunk.text or "", meta.completion_tokens)
            if meta.finish_reason is not None:
                self.finished = True
                yield Piece(text, output, finish=Finish(self._reason(meta.finish_reason)))
                return
            if text or output:
                yield Piece(text, output)

    def _new(self, text: str, output: int) -> tuple[str, int]:
        """What a chunk adds to the ones before it."""
        if self._silent:
            return "", 0
        if self._totals:
            if not text.startswith(self._text):
                raise EngineFailed("the engine broke its protocol: it took back text, or no longer sends all of it")
            text, self._text = text[len(self._text) :], text
        output, self._output = output - self._output, output
        return text, output

    def _reason(self, finish: "_Finish") -> FinishReason:
        if isinstance(finish.matched, str):
            raise EngineFailed(f"the engine stopped at what nobody asked it to stop at: {finish.matched}")
        reason = _FINISHES.get(finish.type)
        if reason is None:
            raise EngineFailed(f"the engine stopped for a reason it does not name: {finish.type}")
        return FinishReason.LENGTH if self._silent else reason


class _Sampling(Struct):
    """`spaces_between_special_tokens` would write a blank between two control tokens that the model did not write."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    sampling_seed: int | UnsetType = UNSET
    structural_tag: str | UnsetType = UNSET
    ignore_eos: bool = False
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class _Generate(Struct):
    input_ids: Sequence[int]
    sampling_params: _Sampling
    rid: str
    lora_path: str | UnsetType = UNSET
    stream: bool = True


class _Finish(Struct, frozen=True, gc=False):
    type: str
    matched: int | str | list[int] | None = None
    message: str = "no reason given"
    status_code: int | None = None


class _Meta(Struct, frozen=True, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    finish_reason: _Finish | None = None


class _Chunk(Struct, gc=False):
    meta_info: _Meta = _Meta()
    text: str | None = None
    error: Fault | None = None


class _Held(Struct):
    structural_tag: str | UnsetType = UNSET


class _Model(Struct):
    id: str
    max_model_len: int = 0


class _Models(Struct):
    data: list[_Model]


class _Info(Struct):
    model_path: str = ""
    tokenizer_path: str = ""

    @property
    def path(self) -> str:
        """Where the server has its tokenizer from: a folder there, or a repository on the Hub."""
        return self.tokenizer_path or self.model_path


_chunk = msgspec.json.Decoder(_Chunk).decode


def _decoded(payload: bytes, *, begun: bool) -> _Chunk:
    """A chunk that reports no failure. Raises `EngineError`; a request that was not even begun was refused."""
    try:
        chunk = _chunk(payload)
    except msgspec.MsgspecError as error:
        raise EngineFailed(f"the engine broke its protocol: {error}") from error
    finish = chunk.meta_info.finish_reason
    if chunk.error is not None:
        raise (EngineFailed if begun else EngineRefused)(f"the engine failed: {chunk.error.message}")
    if finish is not None and finish.type == "abort":
        message = f"the engine gave the job up: {finish.message}"
        if finish.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise EngineUnavailable(message)
        refused = finish.status_code == HTTPStatus.BAD_REQUEST and not begun
        raise (EngineRefused if refused else EngineFailed)(message)
    return chunk


def _form(held: Raw | UnsetType) -> str | UnsetType:
    """The structural tag in what a server of that kind is sent, where there is one."""
    return UNSET if held is UNSET else msgspec.json.decode(held, type=_Held).structural_tag
