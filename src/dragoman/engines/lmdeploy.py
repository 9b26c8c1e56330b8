"""LMDeploy, by its token door: `POST /v1/chat/completions` with no messages and `input_ids`, text out.

It has three doors for token ids; this is the one with a seed, with constraints and with counts of the cache. What the server
does, and this file has to know:

- Its parsers stand behind this door. Without `--tool-call-parser` and `--reasoning-parser` they let text pass as it is; with
  them it comes in other fields, its marks gone: an answer like that is a failure.
- It fills what the request leaves open with defaults of its own (top-k 50 among them): everything is sent.
- A chunk holds what is new. A token that ends the turn is in no chunk, but in the count at the end.
- Counts come once, in a chunk without choices, behind the one that says why it ended; then `data: [DONE]`.
- It says nowhere how large its window is: the model's settings do, or whoever started it.
- An error is flat, `{"message": …}`, as a body and in an `{"error": …}` event alike.
- A closed connection ends the work.
- It holds answers to a JSON schema, and has nothing for the text around them: calls it cannot hold.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.constraints import Constraint, Json
from dragoman.engines.base import Capabilities, Finish, FinishReason, Job, Piece
from dragoman.engines.http import EngineHttp, Fault
from dragoman.engines.model_folder import ModelFolder
from dragoman.engines.sampling import settled
from dragoman.engines.sse import DataEvents
from dragoman.engines.token_door import FindFolder, TokenDoor
from dragoman.engines.watch import Watch
from dragoman.errors import EngineFailed

SLOTS: Final = 128
"""Jobs that the server takes up at once, unless it was told otherwise; it does not say. What is more waits there."""

_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_PATH: Final = "/v1/chat/completions"
_TRIAL: Final = {"type": "string", "enum": ["Q"]}
_TRIAL_ANSWER: Final = '"Q"'
_TRIAL_TOKENS: Final = 8


class LMDeploy(TokenDoor):
    """An LMDeploy server at `address`. `tokenizer` names the folder or the repository of its tokenizer, if its own is not here.

    `window` is the server's `--session-len`, where the model's settings do not say it.
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
        super().__init__(EngineHttp("LMDeploy", address, key=key))
        self._find_folder = find_folder
        self._tokenizer = tokenizer
        self._most = window
        self._slots = slots
        self._model = ""

    async def start(self) -> Capabilities:
        """Ask the server what it runs, and try what it can do."""
        self._model, *adapters = await self._models()
        self.folder = ModelFolder(await asyncio.to_thread(self._find_folder, self._tokenizer or self._model))
        window = self._most or self.folder.window
        if window is None:
            raise EngineFailed(f"{self._http.name} does not say how large its window is: give --context-length N")
        await self._tried()
        formats = await self._formats()
        self.watch = Watch(self._http.name, self._identity)
        await self.watch.begin()
        return Capabilities(
            model=PurePosixPath(self._model).name,
            window=window,
            slots=self._slots,
            chat_template=self.folder.chat_template,
            bos_token=self.folder.bos_token,
            eos_token=self.folder.eos_token,
            formats=formats,
            adapters=adapters,
            found={
                "engine": f"LMDeploy at {self._http.address}",
                "model": self._model,
                "window": f"{window} tokens, as {'--context-length' if self._most else 'config.json'} says",
                "tokenizer": str(self.folder.path),
                "adapters": ", ".join(adapters) or "none",
                "constraints": f"{'output formats' if formats else 'none'}: a forced call is begun in the prompt, and checked",
                "cached tokens": "told at the end",
            },
        )

    async def _models(self) -> list[str]:
        """The model's name, then its adapters'. Raises `EngineFailed` where there is none."""
        names = [model.id for model in (await self._http.call("GET", "/v1/models", _Models)).data]
        if not names:
            raise EngineFailed(f"{self._http.name} serves no model")
        return names

    async def _identity(self) -> str:
        return ", ".join(await self._models())

    async def _formats(self) -> bool:
        """Does the server hold a schema?"""
        try:
            return await self._tried(_TRIAL_TOKENS, _format(_TRIAL)) == _TRIAL_ANSWER
        except EngineFailed:
            return False

    async def _tried(self, limit: int = 1, held: "_Format | UnsetType" = UNSET) -> str:
        """What it says to a small job. Raises `EngineFailed` where it takes no ids."""
        trial = _Completion(self._model, await self.tokenize("2+2="), limit, temperature=0.0, response_format=held)
        reader, said = ChatReader(), ""
        try:
            async with self._http.work(_PATH, msgspec.json.encode(trial)) as answer:
                async for data in answer:
                    said += "".join(piece.text for piece in reader.feed(data))
        except EngineFailed as error:
            raise EngineFailed(f"{error.message} (a trial of its chat door with input_ids)") from error
        if not reader.finished:
            raise self._http.lost()
        return said

    def request(self, job: Job) -> tuple[str, bytes]:
        """Everything is said, see above."""
        chosen = settled(job.sampling, self.folder.recommended)
        completion = _Completion(
            model=job.adapter or self._model,
            input_ids=job.tokens,
            max_completion_tokens=max(job.limit, 1),
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            top_k=chosen.top_k,
            min_p=chosen.min_p,
            repetition_penalty=chosen.repetition_penalty,
            seed=UNSET if job.sampling.seed is None else job.sampling.seed,
            response_format=_held(job.constraint),
        )
        return _PATH, msgspec.json.encode(completion)

    def reader(self, job: Job) -> "ChatReader":
        """One for each job."""
        return ChatReader(silent=job.limit == 0)


class ChatReader:
    """Bytes of a chat completion's stream in, pieces out, however the bytes arrive. Sans-IO.

    `silent` is for a job of no tokens: the one that comes all the same is not passed on.
    """

    __slots__ = ("_events", "_output", "_reason", "_silent", "_usage", "finished")

    def __init__(self, *, silent: bool = False) -> None:
        self.finished = False
        self._events = DataEvents()
        self._silent = silent
        self._output = 0
        self._reason: FinishReason | None = None
        self._usage: _Usage | None = None

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` completes. Raises `EngineFailed` at an event that reports a failure or makes no sense."""
        for payload in self._events.feed(data):
            chunk = _decoded(payload)
            self._usage = chunk.usage or self._usage
            for choice in chunk.choices:
                yield from self._read(choice)
        if self._events.done and not self.finished:
            yield self._end()

    def _read(self, choice: "_Choice") -> Iterator[Piece]:
        delta = choice.delta
        if delta.reasoning_content or delta.tool_calls:
            raise EngineFailed("the engine parses what the model writes: start it without its parsers")
        if choice.finish_reason is not None:
            self._reason = _FINISHES.get(choice.finish_reason)
            if self._reason is None:
                raise EngineFailed(f"the engine gave the job up: {choice.finish_reason}")
        output = len(choice.output_ids or ())
        self._output += output
        if (delta.content or output) and not self._silent:
            yield Piece(delta.content or "", output)

    def _end(self) -> Piece:
        """The last piece, at the end of the stream: what is counted stands behind the reason."""
        if self._reason is None:
            raise EngineFailed("the engine ended its answer without saying why")
        self.finished = True
        usage = self._usage or _Usage(self._output)
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
        if self._silent:
            return Piece(finish=Finish(FinishReason.LENGTH, cached))
        return Piece("", max(0, usage.completion_tokens - self._output), finish=Finish(self._reason, cached))


class _Schema(Struct, frozen=True):
    schema: Mapping[str, Any]
    name: str = "answer"


class _Format(Struct, frozen=True):
    json_schema: _Schema
    type: str = "json_schema"


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = True


class _Completion(Struct):
    """`spaces_between_special_tokens` would write a blank between two control tokens that the model did not write."""

    model: str
    input_ids: Sequence[int]
    max_completion_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | UnsetType = UNSET
    response_format: _Format | UnsetType = UNSET
    messages: tuple[()] = ()
    stream: bool = True
    stream_options: _StreamOptions = _StreamOptions()
    return_token_ids: bool = True
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class _Delta(Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(Struct, gc=False):
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    output_ids: list[int] | None = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(Struct, gc=False):
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(Struct, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Fault | None = None


class _Model(Struct):
    id: str


class _Models(Struct):
    data: list[_Model]


_chunk = msgspec.json.Decoder(_Chunk).decode


def _format(schema: Mapping[str, Any]) -> _Format:
    return _Format(_Schema(schema))


def _held(constraint: Constraint | None) -> _Format | UnsetType:
    """Raises `EngineFailed` at what was not promised to be held."""
    if constraint is None:
        return UNSET
    if not isinstance(constraint.root, Json):
        raise EngineFailed("what the request asks for cannot be held: LMDeploy holds JSON, and no text around it")
    return _format(constraint.root.schema)


def _decoded(payload: bytes) -> _Chunk:
    """A chunk that reports no failure."""
    try:
        chunk = _chunk(payload)
    except msgspec.MsgspecError as error:
        raise EngineFailed(f"the engine broke its protocol: {error}") from error
    if chunk.error is not None:
        raise EngineFailed(f"the engine failed: {chunk.error.message}")
    return chunk
