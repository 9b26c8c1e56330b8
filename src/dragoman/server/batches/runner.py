"""Works batches off, in the gaps between interactive requests.

Lanes take requests side by side. Each claims a few that follow each other in the order of work and answers one after the other,
so that a slot of the engine has computed the beginning that they share. There are as many lanes as slots for batches.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from dragoman.errors import ShuttingDown, StorageFailed
from dragoman.server.batches.answers import Answer, BatchAnswers
from dragoman.server.models.admission import Gaps
from dragoman.server.models.served_model import ServedModel
from dragoman.storage.batches.rows import Claimed, StoredBatch
from dragoman.storage.batches.store import BatchStore

POLL_S: Final = 5.0
"""Seconds between heartbeats, and between looks for work that another gateway has taken in or left."""
PAUSE_S: Final = 5.0
"""Seconds after which a request is tried again for which there was no model, and for which its lane waits meanwhile."""
_UNKNOWN: Final = ""
"""The model of requests that name one which the gateway that took them in does not have: every gateway can say so."""

_LOG = logging.getLogger(__name__)


class BatchRunner:
    """Works off the batches of a store. `slots` is the most slots of a model that it uses, None: all but one.

    `models` returns the ids of the models that this gateway has; requests for others are left to other gateways. `ending` is
    awaited for each batch that ends, and returns its details.
    """

    def __init__(
        self,
        store: BatchStore,
        answers: BatchAnswers,
        models: Callable[[], Collection[str]],
        ending: Callable[[StoredBatch], Awaitable[bytes]],
        slots: int | None = None,
    ) -> None:
        self._store = store
        self._answers = answers
        self._models = models
        self._ending = ending
        self._slots = slots
        self._told = False  # whether it was logged which requests wait for other gateways
        self._claims: set[str] = set()  # those that a lane works on
        self._lanes: set[asyncio.Task[None]] = set()
        self._wanted = 1  # lanes; how many slots a model has is known once one is used
        self._woken = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for work."""
        self._polling = asyncio.create_task(self._poll())

    def wake(self) -> None:
        """Look for work now."""
        self._woken.set()

    async def close(self) -> None:
        """Stop, and give back what was claimed, so that it need not wait for the end of its lease."""
        tasks = {*self._lanes, *([self._polling] if self._polling else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._store.exists:
            with suppress(StorageFailed):
                await self._store.queue.extend(())

    async def _poll(self) -> None:
        while True:
            try:
                if self._store.exists:
                    await self._store.queue.extend(self._claims)
                    await self._settle()
                    await self._tell_left()
                    self._fill_lanes()
            except StorageFailed:  # it is logged; the next try may succeed
                pass
            except Exception:
                _LOG.exception("batches are not looked after")
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _settle(self) -> None:
        """End what is cancelled, expired or complete."""
        await self._store.sweep()
        while batch := await self._store.take_ending():
            await self._end(batch)

    async def _end(self, batch: StoredBatch) -> None:
        await self._store.end(batch, await self._ending(batch))
        _LOG.info("batch %s has ended: %d requests", batch.id, batch.total)

    async def _tell_left(self) -> None:
        """Log once which models requests wait for that this gateway does not have: perhaps no other has them."""
        models = self._models()
        if models and not self._told:
            self._told = True
            if others := await self._store.queue.other_models((*models, _UNKNOWN)):
                _LOG.warning("requests of batches wait for models that this server does not have: %s", ", ".join(others))

    def _fill_lanes(self) -> None:
        while len(self._lanes) < self._wanted:
            lane = asyncio.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _lane(self) -> None:
        """Answer requests until none is left."""
        last: Sequence[Claimed] = ()
        try:
            while claimed := await self._store.queue.claim(self._wanted, (*self._models(), _UNKNOWN), *last):
                last = claimed[-1:]
                with self._held(claimed):
                    for request in claimed:
                        await self._work(request)
            if last:  # a batch may be complete; without work, waking would look for it again without end
                self.wake()
        except (StorageFailed, ShuttingDown):  # what is claimed is given back by the next heartbeat, or its lease ends
            pass
        except Exception:
            _LOG.exception("a request of a batch was not answered")

    @contextmanager
    def _held(self, claimed: Sequence[Claimed]) -> Iterator[None]:
        """Extend a claim for the duration of the context. What it still holds at the end is given back."""
        holder = claimed[0].holder
        self._claims.add(holder)
        try:
            yield
        finally:
            self._claims.discard(holder)

    async def _work(self, request: Claimed) -> None:
        begun = await self._store.queue.begin(request)
        if begun is None:
            await self._store.queue.release(request)
            return
        answer = await self._answers.answer(*begun, request.model, self._gaps)
        if answer is None:
            await self._store.queue.release(request, PAUSE_S)
            await asyncio.sleep(PAUSE_S)
        else:
            await self._keep(request, answer)

    async def _keep(self, request: Claimed, answer: Answer) -> None:
        """Keep an answer, also if the database cannot be used for a while: what took long to compute is not computed again."""
        while True:
            with suppress(StorageFailed):
                await self._store.queue.finish(request, answer.state, answer.result)
                return
            await asyncio.sleep(PAUSE_S)

    def _gaps(self, model: ServedModel) -> Gaps:
        """Return the slots of a model for batches, and begin as many lanes."""
        gaps = Gaps(model.admission, model.found.slots, self._slots)
        if gaps.limit > self._wanted:
            self._wanted = gaps.limit
            self._fill_lanes()
        return gaps
