"""An engine elsewhere, by its token door: ids in, a stream of text out, its tokenizer read from its model's own folder.

What such engines have in common stands here: how they are met at the start, watched, and given a job. An adapter says how its
engine is asked, how its answer reads, and what to try at the start.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from msgspec import Struct

from dragoman.constraints.tree import Constraint
from dragoman.engines.base import Capabilities, Engine, EngineKind, EngineRequest, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintFallbacks, ConstraintForm
from dragoman.engines.http import EngineHttp
from dragoman.engines.liveness import ProbeTimes
from dragoman.engines.watch import USUAL_LOOKS, HealthWatch
from dragoman.engines.window import clamped
from dragoman.errors import EngineError, EngineFailed, EngineRefused
from dragoman.models.tokenizer_folder import ModelFolder

FindFolder = Callable[[str], Path]
"""From what an engine calls its model (a path, or a repository on the Hub) to a folder on this machine. May wait."""


class Reader(Protocol):
    """Bytes of one answer in, pieces out, however the bytes arrive. Sans-IO."""

    finished: bool
    """Was the last piece given?"""

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The pieces that `data` completes; fed with nothing as soon as the engine has taken the job.

        Raises `EngineFailed` at an event that reports a failure or makes no sense, `EngineRefused` in the place of the first
        piece where the engine does not take the job as it is.
        """


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the trials of an engine found, as fields of `Capabilities`. `variants`: a job can name one."""

    kind: EngineKind
    found: Mapping[str, str]
    constrains: bool = False
    formats: bool = False
    variants: bool = True


class ServedModel(Struct):
    """An entry of `/v1/models`. Variants of a model (LoRA) have a parent, and no window of their own."""

    id: str
    max_model_len: int | None = None
    root: str | None = None
    parent: str | None = None


class _Models(Struct):
    data: list[ServedModel]


class TokenEndpoint(Engine):
    """An engine at `address`. `tokenizer` names the folder or the repository of its tokenizer, if its model's is not it.

    `window` is the most that a conversation may have, where that is less than the engine's; `slots` is how many jobs are sent
    at once. `name` and `lost` are as in `EngineHttp`. `watched`: somebody else runs it, and may put another in its place.
    """

    kind: ClassVar[str]
    usual_slots: ClassVar[int]
    folder: ModelFolder
    forms: ConstraintFallbacks

    def __init__(  # noqa: PLR0913 -- most are options of the command line
        self,
        address: str,
        find_folder: FindFolder,
        *,
        key: str | None = None,
        tokenizer: str | None = None,
        window: int | None = None,
        slots: int | None = None,
        name: str | None = None,
        lost: str | None = None,
        watched: bool = True,
        looks: ProbeTimes = USUAL_LOOKS,
    ) -> None:
        self.watch: HealthWatch | None = None
        self.model = ""
        self.window = 0
        self._http = EngineHttp(self.kind, address, key=key, name=name, lost=lost)
        self._find_folder = find_folder
        self._tokenizer = tokenizer
        self._most = window
        self._slots = slots or self.usual_slots
        self._watched = watched
        self._looks = looks

    async def start(self) -> Capabilities:
        """Ask the engine what it runs, and try what it can do."""
        served, *variants = await self._models()
        self.model = served.id
        path = await self.model_path(served)
        self.folder = ModelFolder(await asyncio.to_thread(self._find_folder, self._tokenizer or path))
        self.window = clamped(self.its_window(served), self._most, self._http.name)
        probe = await self.probe_server()
        adapters = [variant.id for variant in variants] if probe.variants else []
        if self._watched:
            self.watch = HealthWatch(self._http.name, self._identity, give_up=self._http.give_up, looks=self._looks)
            await self.watch.begin()
        return Capabilities(
            model=PurePosixPath(served.id).name,
            window=self.window,
            slots=self._slots,
            chat_template=self.folder.chat_template,
            bos_token=self.folder.bos_token,
            eos_token=self.folder.eos_token,
            constrains=probe.constrains,
            formats=probe.formats,
            adapters=adapters,
            kind=probe.kind,
            found={
                "engine": f"{self.kind} at {self._http.address}",
                "model": path,
                "window": f"{self.window} tokens",
                "tokenizer": str(self.folder.path),
                "adapters": ", ".join(adapters) or "none",
                **probe.found,
            },
        )

    @abstractmethod
    async def probe_server(self) -> ProbeResult:
        """Try what the engine can do, and make `forms`. Raises `EngineFailed` where it cannot be used at all."""

    @abstractmethod
    def posted(self, job: EngineRequest, held: ConstraintForm) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer to a job, held to that form of its constraint, once the engine has taken it."""

    @abstractmethod
    def reader(self, job: EngineRequest) -> Reader:
        """What reads the answer to this job."""

    async def model_path(self, served: ServedModel) -> str:
        """Where the engine has its tokenizer from: a folder there, or a repository on the Hub."""
        return served.root or served.id

    def its_window(self, served: ServedModel) -> int:
        """The room for prompt and answer, in tokens. Raises `EngineFailed` where nobody says."""
        if served.max_model_len is None:
            raise EngineFailed(f"{self._http.name} does not say how large its window is")
        return served.max_model_len

    @property
    def status(self) -> str:
        """As the watch found it."""
        return self.watch.status if self.watch is not None else super().status

    @property
    def vocabulary(self) -> int:
        """As the model's folder says."""
        return self.folder.vocabulary

    async def prepare(self, constraint: Constraint) -> None:
        """Make the first form that is tried."""
        step = next(iter(self.forms.steps(constraint)))
        await self.forms.form(constraint, step)

    async def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run the job on a connection of its own. A constraint that is refused is relaxed, until it is taken."""
        if self.watch is not None:
            await self.watch.check()
        for step in self.forms.steps(job.constraint):
            held = await self.forms.form(job.constraint, step)
            reader = self.reader(job)
            try:
                async with self.posted(job, held) as answer:
                    for piece in reader.feed(b""):
                        yield piece
                    async for data in answer:
                        if self.watch is not None:
                            self.watch.sign()
                        for piece in reader.feed(data):
                            yield piece
                        if reader.finished:
                            return
                raise self._http.lost()
            except EngineError as error:
                if isinstance(error, EngineRefused) and self.forms.relax(job.constraint, step, error):
                    continue
                if self.watch is not None:
                    self.watch.doubt()
                raise

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """By the model's own tokenizer, in this process."""
        return await self.folder.tokenize(text, special=special)

    async def close(self) -> None:
        """Close every connection; the engine goes on."""
        if self.watch is not None:
            await self.watch.close()
        await self._http.close()

    async def _models(self) -> list[ServedModel]:
        """The model, then its variants; another name of the model is neither. Raises `EngineFailed` where there is none."""
        listed = (await self._http.call("GET", "/v1/models", _Models)).data
        model = next((model for model in listed if model.parent is None), None)
        if model is None:
            raise EngineFailed(f"{self._http.name} serves no model")
        return [model, *self.variants([other for other in listed if other is not model])]

    def variants(self, others: list[ServedModel]) -> list[ServedModel]:
        """Those of the other names that are variants of the model."""
        return [other for other in others if other.parent is not None]

    async def _identity(self) -> str:
        served, *_ = await self._models()
        window = f", window {served.max_model_len}" if served.max_model_len else ""
        return f"{await self.model_path(served)} as {served.id}{window}"
