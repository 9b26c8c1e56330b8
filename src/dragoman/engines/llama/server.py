"""llama.cpp's server, by its token endpoint: `POST /completion` with token ids in, text out.

What the server does, and what this module relies on:

- It sends nothing, not even a status, before the request has a slot. Then come chunks of prefill progress (with an empty text
  and a made-up token), then one chunk per run of whole characters with the number of tokens generated *so far*, then the last
  one with `stop: true`, which would echo the whole prompt and all settings if `response_fields` did not trim it.
- `n_predict: 0` generates a token all the same.
- The text of a special token is left out, unless the request names it in `preserved_tokens`.
- A chunk has the id of its last token, and its log-probability if the request asks for it, as the model computes it, without
  any sampling parameter or grammar. `missing_ids` has the others. The token that ends the answer has a chunk without text.
- Only a closed connection cancels a request: between two batches of the prompt, or at the next token. So every call has a
  connection of its own, which is closed to cancel it. While a request waits for a slot and other slots are busy, the server
  does not check whether its client is still connected: so requests wait here, and no more are sent than it has slots.
- It closes connections after a stream, and holds a thread for each idle one: so none is kept open.
- An error after the first byte is an event, `data: {"error": …}`, or `error: …` in older versions.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from pathlib import PurePath
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dragoman.constraints.compiler import GBNF_TRIAL, TRIAL, GrammarForm, Grammars, Trial
from dragoman.constraints.tree import Constraint
from dragoman.conversation import Image, Sampling
from dragoman.conversation.spans import is_text_token
from dragoman.engines.base import Capabilities, Engine, EngineKind, EngineRequest, OutputChunk
from dragoman.engines.http import EngineHttp
from dragoman.engines.liveness import ProbeTimes
from dragoman.engines.llama.disk_cache import DiskCache, SavedSlots
from dragoman.engines.llama.free_beginning import FreeBeginning
from dragoman.engines.llama.images import MARKERS, ImageInput
from dragoman.engines.llama.missing_ids import with_all_ids
from dragoman.engines.llama.slot_choice import SlotChoice
from dragoman.engines.llama.wire import (
    IDS_AT_ONCE,
    Chunk,
    Completion,
    CompletionReader,
    MediaPrompt,
    Models,
    Props,
    SchemaTrial,
    Slot,
    Text,
    Tokens,
    array_of_ids,
    json_of_ids,
)
from dragoman.engines.watch import DEFAULT_WATCH_TIMES, HealthWatch
from dragoman.engines.window import clamped
from dragoman.errors import EngineFailed, EngineRefused, EngineUnavailable

_NOT_ENFORCED: Final = {
    None: "constraints are not enforced",
    GrammarForm.GBNF: "patterns, formats and bounds in schemas are checked, not enforced: it was built without llguidance",
}
"""What is missing with a form of grammars."""

_log = logging.getLogger(__name__)


class LlamaServer(Engine):
    """A llama-server at an address: `http://host:port`, or `unix:///path/of.sock`.

    An unset sampling field is left out of the body, so that the recommendation in the GGUF file or the server's command line
    applies, or else llama.cpp's default (temperature 0.8, top-k 40, top-p 0.95, min-p 0.05).
    """

    def __init__(  # noqa: PLR0913 -- options of the command line, and words for errors
        self,
        address: str,
        *,
        key: str | None = None,
        window: int | None = None,
        name: str | None = None,
        lost: str | None = None,
        exclusive: bool = False,
        watch_times: ProbeTimes = DEFAULT_WATCH_TIMES,
        saves: SavedSlots | None = None,
    ) -> None:
        """`window` limits the context length, where that is less than the server's.

        `name` is the server's name in error messages, `lost` the message when the connection breaks during a request.
        `exclusive`: the server has no other clients, so that the contents of its slots are known and a slot can be chosen; and
        its process is supervised. Any other server is watched, with these `watch_times`.
        `saves`: the folder that an exclusive server was started with, to save its slots.
        """
        self._http = EngineHttp("llama-server", address, key=key, name=name, lost=lost)
        self._requested_window = window
        self._free_slots = asyncio.Semaphore()  # one, until the server has reported its slots
        self._exclusive = exclusive
        self._slots: SlotChoice | None = None
        self._watch_times = watch_times
        self._watch: HealthWatch | None = None
        self._grammars = Grammars(self.tokenize)
        self._vocabulary: int | None = None
        self._images: ImageInput | None = None
        self._disk = DiskCache(self._http, saves) if saves is not None else None

    @property
    def conversations(self) -> int | None:
        """The number of slots with the prompt of a conversation; None where the server has other clients."""
        return self._slots.conversations if self._slots else None

    async def start(self) -> Capabilities:
        """Ask the server which model and settings it runs, and probe what it supports."""
        props = await self._http.call("GET", "/props", Props)
        models = await self._http.call("GET", "/v1/models", Models)
        self._vocabulary = models.data[0].meta.n_vocab if models.data and models.data[0].meta else None
        self._free_slots = asyncio.Semaphore(props.total_slots)
        self._slots = SlotChoice(props.total_slots) if self._exclusive else None
        if not self._exclusive:
            self._watch = HealthWatch(
                self._http.name, self._identity, abort_all=self._http.abort_all, watch_times=self._watch_times
            )
            await self._watch.start()
        form = await self._grammar_form()
        self._grammars = Grammars(self.tokenize, form or GrammarForm.LARK)
        self._images = await ImageInput.probe(self._http, props, 0 if self._exclusive else UNSET)
        return Capabilities(
            model=_model_name(models.data[0].id if models.data else props.model_path),
            window=clamped(props.default_generation_settings.n_ctx, self._requested_window, self._http.name),
            slots=props.total_slots,
            chat_template=props.chat_template or None,
            bos_token=props.bos_token,
            eos_token=props.eos_token,
            constrains=form is not None,
            images=self._images is not None,
            reserved=MARKERS,
            beginning=self._images.beginning if self._images is not None else "",
            token_ids=True,
            marker_ids=True,
            logprobs=True,
            kind=EngineKind.LLAMA_CPP if self._exclusive else EngineKind.LLAMA_SERVER,
            found=self._found(props, form),
        )

    def _found(self, props: Props, form: GrammarForm | None) -> dict[str, str]:
        """What people want to know of the server; who supervises it knows more."""
        found = {"engine": " ".join(filter(None, ("llama-server", props.build_info, "at", self._http.address)))}
        return {**found, "missing": _NOT_ENFORCED[form]} if form in _NOT_ENFORCED else found

    async def _grammar_form(self) -> GrammarForm | None:
        """The best form of grammars that the server enforces, None where it enforces none.

        One built without llguidance aborts on Lark. So it is asked for a schema first: it echoes the grammar that it made.
        """
        schema = {**self._trial, "json_schema": {"const": "x"}, "response_fields": SchemaTrial.fields}
        try:
            made = await self._http.call("POST", "/completion", SchemaTrial, msgspec.json.encode(schema))
            if made.grammar.startswith("%llguidance") and await self._enforces(TRIAL):
                return GrammarForm.LARK
            return GrammarForm.GBNF if await self._enforces(GBNF_TRIAL) else None
        except EngineFailed:
            return None

    async def _enforces(self, trial: Trial) -> bool:
        body = msgspec.json.encode({**self._trial, "grammar": trial.grammar})
        return (await self._http.call("POST", "/completion", Chunk, body)).content == trial.answer

    @property
    def _trial(self) -> dict[str, object]:
        """A request of one token, in the first slot of an exclusive server, so that the others stay unused."""
        return {"prompt": "x", "n_predict": 1, "temperature": 0, **({"id_slot": 0} if self._exclusive else {})}

    @property
    def status(self) -> str:
        """The status that the watch last found."""
        return self._watch.status if self._watch is not None else super().status

    @property
    def vocabulary(self) -> int | None:
        """The vocabulary size that the server reported at the start."""
        return self._vocabulary

    async def _identity(self) -> str:
        props = await self._http.call("GET", "/props", Props)
        return f"{props.model_path or 'its model'}, window {props.default_generation_settings.n_ctx}"

    async def prepare(self, constraint: Constraint) -> None:
        """Compile the grammar, or the one from a call on."""
        await self._grammars.of(constraint.opening.after if constraint.opening is not None else constraint)

    def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Run the request as soon as there is a slot for it, in parts if its constraint restricts only what follows a text."""
        free = FreeBeginning.of(request)
        if free is not None:
            return self._in_parts(request, free)
        return self._completion(request, CompletionReader(silent=request.limit == 0, top=request.top))

    async def _in_parts(self, request: EngineRequest, free: FreeBeginning) -> AsyncGenerator[OutputChunk, None]:
        """Run a free beginning and what follows it. Raises `EngineFailed` where the server is lost between two parts."""
        try:
            async with self._lease(request) as slot:
                while True:
                    stops = free.stops if free.request.constraint is None else ()
                    async with aclosing(self._completion(free.request, free.reader, slot, stops)) as chunks:
                        async for chunk in chunks:
                            if (passed := free.passed(chunk)) is not None:
                                yield passed
                    if not free.reader.stopped_at:
                        return
                    yield (begun := await free.go_on(self.tokenize, self.detokenize))
                    if begun.finish is not None:
                        return
        except EngineUnavailable as error:
            if not free.has_begun:
                raise
            raise self._http.lost() from error

    async def _completion(
        self,
        request: EngineRequest,
        reader: CompletionReader,
        slot: int | UnsetType | None = None,
        stops: Sequence[str] = (),
    ) -> AsyncGenerator[OutputChunk, None]:
        """Post one request on a connection of its own, and yield its chunks. Without a `slot`, it waits for one.

        Ids that the server does not report are found, unless the request may stop: then they only serve to continue it.
        """
        grammar = await self._grammars.of(request.constraint) if request.constraint is not None else UNSET
        finds_ids = request.ids and not stops
        async with (
            self._lease(request) if slot is None else nullcontext(slot) as leased,
            self._accepted(request, grammar, leased, stops) as answer,
        ):
            async for data in answer:
                if self._watch is not None:
                    self._watch.liveness.record_output()
                for chunk in reader.feed(data):
                    if self._disk is not None and chunk.prefill is not None:
                        self._disk.record_prefill(leased, chunk.prefill)
                    yield await with_all_ids(chunk, self) if finds_ids else chunk
                if reader.finished:
                    return
            raise self._http.lost()

    def _watched(self) -> AbstractAsyncContextManager[None]:
        return self._watch.checked() if self._watch is not None else nullcontext()

    @asynccontextmanager
    async def _lease(self, request: EngineRequest) -> AsyncIterator[int | UnsetType]:
        """Wait for a free slot; yield the slot that the request should have, or UNSET where the server chooses."""
        async with self._watched(), self._free_slots:
            if self._slots is None:
                yield UNSET
                return
            tokens = await array_of_ids(request.tokens)
            match = self._disk.match(tokens) if self._disk is not None else None
            saved = match.length if match is not None else 0
            lease = self._slots.lease(tokens, saved, continued=request.routing.continued)
            try:
                if self._disk is not None:
                    await self._disk.begin(lease, match)
                if lease.flush is not None:
                    first = next(filter(is_text_token, request.tokens), 0)
                    flush = EngineRequest([first], 1, request.sampling)
                    async with self._http.stream("/completion", _encode(flush, slot=lease.flush)):
                        pass
                yield lease.slot if lease.named else UNSET
            finally:
                self._slots.release(lease)
                if self._disk is not None:
                    self._disk.end(lease, tokens)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Ask the server's own tokenizer."""
        body = msgspec.json.encode({"content": text, "parse_special": special, "add_special": False})
        return (await self._http.call("POST", "/tokenize", Tokens, body)).tokens

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Ask the server's own tokenizer."""
        body = msgspec.json.encode({"tokens": tokens})
        return (await self._http.call("POST", "/detokenize", Text, body)).content

    async def image_length(self, image: Image) -> int:
        """Ask the server, once for each size."""
        if self._images is None:
            raise EngineFailed(f"{self._http.name} reads no images")
        return await self._images.length(image)

    @asynccontextmanager
    async def _accepted(
        self, request: EngineRequest, grammar: str | UnsetType, slot: int | UnsetType, stops: Sequence[str]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Post a request; one with images again if the server was restarted unnoticed, and has another marker now."""

        async def post() -> AsyncIterator[bytes]:
            body = await self._body(request, grammar, slot, stops)
            return await stack.enter_async_context(self._http.stream("/completion", body, routing=request.routing))

        async with AsyncExitStack() as stack:
            try:
                answer = await post()
            except EngineRefused:
                if not request.spans or self._images is None or not await self._images.renew_marker():
                    raise
                answer = await post()
            yield answer

    async def _body(
        self, request: EngineRequest, grammar: str | UnsetType, slot: int | UnsetType, stops: Sequence[str]
    ) -> bytes:
        if not request.spans:
            ids = request.tokens if len(request.tokens) <= IDS_AT_ONCE else await json_of_ids(request.tokens)
            return _encode(request, grammar, slot, ids, stops)
        if self._images is None:
            raise EngineFailed(f"{self._http.name} reads no images")
        return await asyncio.to_thread(
            lambda images: _encode(request, grammar, slot, images.prompt(request.spans)), self._images
        )

    async def probe(self) -> None:
        """Probe the health endpoint, which a thread of its own serves. Raises `EngineError`."""
        await self._http.ping("/health")

    async def slots(self) -> "list[Slot]":
        """The state of each slot. Raises as `tokenize`, also where the server was started without this endpoint."""
        return await self._http.call("GET", "/slots", list[Slot])

    async def close(self) -> None:
        """Save what is not saved of an exclusive server's slots, and close every connection; the server keeps running."""
        if self._disk is not None:
            await self._disk.close()
        if self._watch is not None:
            await self._watch.close()
        await self._http.close()


def _encode(
    request: EngineRequest,
    grammar: str | UnsetType = UNSET,
    slot: int | UnsetType = UNSET,
    prompt: Sequence[int] | MediaPrompt | Raw | None = None,
    stops: Sequence[str] = (),
) -> bytes:
    completion = Completion(
        prompt or request.tokens,
        max(request.limit, 1),
        grammar=grammar,
        preserved_tokens=request.special_tokens or UNSET,
        stop=stops or UNSET,
        id_slot=slot,
        return_tokens=True if request.ids else UNSET,
        n_probs=UNSET if request.top is None else max(request.top, 1),
        **_sampling(request.sampling),
    )
    return msgspec.json.encode(completion)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """The fields of a request that the client set; biases as pairs, which every version of the server reads."""
    chosen = sampling.chosen
    if sampling.logit_bias is not None:
        chosen["logit_bias"] = [(int(token), bias) for token, bias in sampling.logit_bias.items()]
    return chosen


def _model_name(name: str) -> str:
    """The model's name; the stem of the file where the server reports only a path."""
    return PurePath(name).stem if name.endswith(".gguf") else name
