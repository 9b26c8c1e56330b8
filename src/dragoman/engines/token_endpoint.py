"""The base class of remote engines with a token endpoint: ids in, a stream of text out, the tokenizer from the model's folder.

It holds what such engines have in common: how they are started, watched and sent requests. An adapter defines the request body,
the reader of the reply and the probes at the start.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from msgspec import Struct

from dragoman.constraints.tree import Constraint
from dragoman.conversation import Image
from dragoman.engines.base import Capabilities, Engine, EngineKind, EngineRequest, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintFallbacks, ConstraintForm
from dragoman.engines.http import EngineHttp
from dragoman.engines.images_beside_ids import ImagesBesideIds
from dragoman.engines.liveness import ProbeTimes
from dragoman.engines.reply_reader import ReplyReader
from dragoman.engines.watch import DEFAULT_WATCH_TIMES, HealthWatch
from dragoman.engines.window import clamped
from dragoman.errors import EngineError, EngineFailed, EngineRefused
from dragoman.models.tokenizer_folder import ModelFolder

FindFolder = Callable[[str], Path]
"""Maps an engine's name of its model (a path, or a repository on the Hub) to a folder on this machine. May block."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The results of the probes, as fields of `Capabilities`. `variants`: a request can name one."""

    kind: EngineKind
    found: Mapping[str, str]
    constrains: bool = False
    formats: bool = False
    images: bool = False
    spells_markers: bool = True
    logprobs: bool = False
    prompt_logprobs: bool = False
    variants: bool = True


class ServedModel(Struct):
    """An entry of `/v1/models`. Variants of a model (LoRA) have a parent, and no context length of their own."""

    id: str
    max_model_len: int | None = None
    root: str | None = None
    parent: str | None = None


class _Models(Struct):
    data: list[ServedModel]


class TokenEndpoint(Engine):
    """An engine at `address`. `tokenizer` names the folder or repository of its tokenizer, if it is not the model's.

    `window` limits the context length, where that is less than the engine's; `slots` is how many requests are sent at once.
    `name` and `lost` are as in `EngineHttp`. `watched`: it is not a child of this process, so it may be replaced by another.
    """

    kind: ClassVar[str]
    default_slots: ClassVar[int]
    folder: ModelFolder
    fallbacks: ConstraintFallbacks
    _images: ImagesBesideIds | None = None

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
        watch_times: ProbeTimes = DEFAULT_WATCH_TIMES,
    ) -> None:
        self.watch: HealthWatch | None = None
        self.model = ""
        self.window = 0
        self._http = EngineHttp(self.kind, address, key=key, name=name, lost=lost)
        self._find_folder = find_folder
        self._tokenizer = tokenizer
        self._requested_window = window
        self._slots = slots or self.default_slots
        self._watched = watched
        self._watch_times = watch_times

    async def start(self) -> Capabilities:
        """Ask the engine which model it runs, and probe what it supports."""
        served, *variants = await self._models()
        self.model = served.id
        path = await self.model_path(served)
        self.folder = ModelFolder(await asyncio.to_thread(self._find_folder, self._tokenizer or path))
        self.window = clamped(self.window_of(served), self._requested_window, self._http.name)
        probe = await self.probe_server()
        adapters = [variant.id for variant in variants] if probe.variants else []
        if self._watched:
            self.watch = HealthWatch(
                self._http.name, self._identity, abort_all=self._http.abort_all, watch_times=self._watch_times
            )
            await self.watch.start()
        return Capabilities(
            model=PurePosixPath(served.id).name,
            window=self.window,
            slots=self._slots,
            chat_template=self.folder.chat_template,
            bos_token=self.folder.bos_token,
            eos_token=self.folder.eos_token,
            constrains=probe.constrains,
            formats=probe.formats,
            images=probe.images,
            token_ids=True,
            marker_ids=True,
            spells_markers=probe.spells_markers,
            logprobs=probe.logprobs,
            prompt_logprobs=probe.prompt_logprobs,
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
        """Probe what the engine supports, and set `fallbacks`. Raises `EngineFailed` where it cannot be used at all."""

    @abstractmethod
    def post(self, request: EngineRequest, form: ConstraintForm) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Post a request with that form of its constraint; enter the context once the engine has accepted it."""

    @abstractmethod
    def reader(self, request: EngineRequest) -> ReplyReader:
        """A reader for this request's reply."""

    async def prompt_length(self, ids: Sequence[int], images: Sequence[str]) -> int:
        """The engine's own count of a prompt with images, which are URLs. Only for engines that report `images`."""
        raise NotImplementedError

    async def model_path(self, served: ServedModel) -> str:
        """The engine's source of its tokenizer: a folder on its machine, or a repository on the Hub."""
        return served.root or served.id

    def window_of(self, served: ServedModel) -> int:
        """The engine's context length, in tokens. Raises `EngineFailed` where it is not known."""
        if served.max_model_len is None:
            raise EngineFailed(f"{self._http.name} does not report its context length")
        return served.max_model_len

    @property
    def status(self) -> str:
        """The status that the watch last found."""
        return self.watch.status if self.watch is not None else super().status

    @property
    def vocabulary(self) -> int:
        """The vocabulary size, from the model's folder."""
        return self.folder.vocabulary

    async def prepare(self, constraint: Constraint) -> None:
        """Make the first form that will be tried."""
        step = next(iter(self.fallbacks.steps(constraint)))
        await self.fallbacks.form(constraint, step)

    async def accept_images(self, notation: str) -> bool:
        """Check that the engine counts images as expected."""
        self._images = await ImagesBesideIds.probe(self._http.name, notation, self.tokenize, self.prompt_length)
        return self._images is not None

    async def image_length(self, image: Image) -> int:
        """The number of tokens of an image, which the engine counts once for each size."""
        assert self._images is not None
        return await self._images.length(image)

    def ids(self, request: EngineRequest) -> Sequence[int]:
        """The token ids to send: those of the notation of an image at the place of each."""
        if not request.spans:
            return request.tokens
        assert self._images is not None
        return self._images.ids(request.spans)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run the request on a connection of its own. A constraint that is refused is relaxed until it is accepted."""
        if self.watch is not None:
            await self.watch.check()
        for step in self.fallbacks.steps(request.constraint):
            form = await self.fallbacks.form(request.constraint, step)
            reader = self.reader(request)
            try:
                async with self.post(request, form) as answer:
                    for chunk in reader.feed(b""):
                        yield chunk
                    async for data in answer:
                        if self.watch is not None:
                            self.watch.liveness.record_output()
                        for chunk in reader.feed(data):
                            yield chunk
                        if reader.finished:
                            return
                raise self._http.lost()
            except EngineError as error:
                if isinstance(error, EngineRefused) and self.fallbacks.relax(request.constraint, step, error):
                    continue
                if self.watch is not None:
                    self.watch.probe_soon()
                raise

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Tokenize with the model's own tokenizer, in this process."""
        return await self.folder.tokenize(text, special=special)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Detokenize with the model's own tokenizer, in this process."""
        return await self.folder.detokenize(tokens)

    async def close(self) -> None:
        """Close every connection; the engine keeps running."""
        if self.watch is not None:
            await self.watch.close()
        await self._http.close()

    @staticmethod
    async def encoded(request: EngineRequest, encode: Callable[[], bytes]) -> bytes:
        """The body of a request; one with images is encoded in a thread, because it may have megabytes of them."""
        return await asyncio.to_thread(encode) if request.spans else encode()

    async def _models(self) -> list[ServedModel]:
        """The model, then its variants, without aliases of the model. Raises `EngineFailed` where there is no model."""
        listed = (await self._http.call("GET", "/v1/models", _Models)).data
        model = next((model for model in listed if model.parent is None), None)
        if model is None:
            raise EngineFailed(f"{self._http.name} serves no model")
        return [model, *self.variants([other for other in listed if other is not model])]

    def variants(self, others: list[ServedModel]) -> list[ServedModel]:
        """The other entries that are variants of the model."""
        return [other for other in others if other.parent is not None]

    async def _identity(self) -> str:
        served, *_ = await self._models()
        window = f", window {served.max_model_len}" if served.max_model_len else ""
        return f"{await self.model_path(served)} as {served.id}{window}"
