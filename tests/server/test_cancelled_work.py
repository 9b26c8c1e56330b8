"""Work whose client has left, on the real engine: it ends within a step, and what it had read is not read again.

The proof is the engine's own view of its slots, asked for beside the server that is tested.
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from conftest import MODEL, body, live_registry, user
from controllable_engine import until
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import PromptRequest
from dragoman.conversation import Conversation
from dragoman.engines import Capabilities
from dragoman.engines.llama.child import CPU_BATCH
from dragoman.engines.llama.embedded import EmbeddedLlama, EngineStatus
from dragoman.engines.llama.server import Slot
from dragoman.models.resolve import resolve
from dragoman.server import ModelRegistry, Settings, messages
from prompt import templates
from server.http import Wire, post, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE = 60
"""Seconds for what takes one or two, where others keep the machine busy."""
SMALL, MEDIUM, LONG, ENDLESS = 100, 700, 1250, 2000
"""Tokens: more than a short prompt has, about those of the longer ones, five steps of reading, more than anybody waits for."""
LISTS = {
    "type": "object",
    "properties": {"n": {"type": "array", "items": {"type": "integer"}, "minItems": 900}},
    "required": ["n"],
}
_numbers = count()


class House(EmbeddedLlama):
    """The default model with two slots, whose template opens the reasoning; seen from another thread."""

    url: str
    registry: ModelRegistry

    async def start(self) -> Capabilities:
        self.loop = asyncio.get_running_loop()
        return with_fields(await super().start(), chat_template=templates.THINKING)

    def view(self) -> list[Slot]:
        return asyncio.run_coroutine_threadsafe(self.slots(), self.loop).result(PATIENCE)

    def busy(self) -> list[Slot]:
        return [slot for slot in self.view() if slot.is_processing]

    def settle(self) -> None:
        """Nobody is inside, and every slot is free."""
        until(lambda: self.inside == 0 and not self.busy(), PATIENCE)

    @property
    def inside(self) -> int:
        assert self.registry.ready is not None
        return self.registry.ready.admission.inside


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    engine = House(resolve(None).path, context=4096, parallel=2, threads=1)
    engine.registry = ModelRegistry(engine, Settings(model_id=MODEL, dialect=dialects.get("qwen3")))
    with live_registry(engine.registry) as engine.url:
        yield engine


@pytest.fixture(autouse=True)
def _leave_it_settled(house: House) -> Iterator[None]:
    yield
    house.settle()


def asked(words: int = 5, **fields: Any) -> dict[str, Any]:
    """A request that nobody made before."""
    text = f"Story {next(_numbers)}: " + "the old stone house by the river " * (words // 7) + "Go on."
    return body(user(text), **{"max_tokens": ENDLESS, "temperature": 0, **fields})


def reading(house: House, client: Wire, request: dict[str, Any]) -> int:
    """Send, and wait until the engine is in the middle of the prompt; gives the tokens it has read."""
    seen: list[int] = []

    def begun() -> bool:
        seen[:] = [slot.n_prompt_tokens_processed for slot in house.busy()]
        return bool(seen) and seen[0] > 0

    client.send(request)
    until(begun, PATIENCE)
    return seen[0]


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_leaving_while_the_prompt_is_read_stops_it_and_the_retry_finds_what_was_read(house: House, streamed: bool) -> None:
    request = asked(words=LONG, stream=streamed)
    with wire(house.url) as client:
        read = reading(house, client, request)
    house.settle()
    again = post(house.url, {**request, "stream": False, "max_tokens": 1}).json["usage"]
    whole = again["input_tokens"] + again["cache_read_input_tokens"] + again["cache_creation_input_tokens"]
    assert (
        read <= again["cache_read_input_tokens"] <= read + 2 * CPU_BATCH
    )  # no more than the step that it was in, and the next
    assert again["cache_read_input_tokens"] < whole - CPU_BATCH


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "fields", [{}, {"output_config": {"format": {"type": "json_schema", "schema": LISTS}}}], ids=["text", "grammar"]
)
def test_leaving_while_it_writes_frees_the_slot(house: House, fields: dict[str, Any], streamed: bool) -> None:
    with wire(house.url) as client:
        client.send(asked(**fields, stream=streamed))
        if streamed:
            client.read_until(b"text_delta")
        else:
            until(lambda: any(slot.n_prompt_tokens > SMALL for slot in house.busy()), PATIENCE)
        (slot,) = house.busy()
    house.settle()
    assert held(house)[slot.id] < slot.n_prompt_tokens + SMALL


@pytest.mark.clause("TRN-18", "THK-2")
def test_leaving_behind_reasoning_that_was_closed_frees_the_slot(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(request: PromptRequest, betas: frozenset[str]) -> Conversation:
        """The smallest budget that the API knows takes the smallest model a minute."""
        conversation = lower(request, betas)
        return replace(conversation, thinking=replace(conversation.thinking, budget=6))

    monkeypatch.setattr(messages, "lower", hasty)
    with wire(house.url) as client:
        client.send(asked(thinking={"type": "enabled", "budget_tokens": 1024}, temperature=1, stream=True))
        client.read_until(b"thinking_delta")
        client.read_until(b"text_delta")
        (slot,) = house.busy()
    house.settle()
    assert held(house)[slot.id] < slot.n_prompt_tokens + SMALL


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_what_leaves_the_queue_behind_the_slots_is_never_begun(house: House, streamed: bool) -> None:
    with wire(house.url) as one, wire(house.url) as two:
        for client in (one, two):
            client.send(asked(stream=True))
            client.read_until(b"text_delta")
        with wire(house.url) as queued:
            queued.send(asked(words=MEDIUM, stream=streamed))
            until(lambda: house.inside == 3)
        until(lambda: house.inside == 2)
        assert len(house.busy()) == 2
    house.settle()
    assert max(held(house)) < MEDIUM


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_what_leaves_while_the_engine_comes_back_is_never_begun(house: House, streamed: bool) -> None:
    restarts = house.restarts
    assert house.pid is not None
    os.kill(house.pid, signal.SIGKILL)
    until(lambda: house.status is EngineStatus.RESTARTING)
    with wire(house.url) as waiting:
        waiting.send(asked(words=MEDIUM, stream=streamed))
        until(lambda: house.inside == 1)
    until(lambda: house.inside == 0)
    until(lambda: house.restarts == restarts + 1, PATIENCE)
    assert max(held(house)) < SMALL


def held(house: House) -> Sequence[int]:
    """Tokens in each slot, read or written."""
    return [slot.n_prompt_tokens for slot in house.view()]
