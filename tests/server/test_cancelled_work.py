"""Cancelled requests on the real engine: the work ends within a step, and processed prompt tokens are reused.

The tests check the engine's own view of its slots, apart from the tested server.
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

from conftest import MODEL, body, live_registry, registry_of, user
from controllable_engine import until
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import PromptRequest
from dragoman.conversation import Conversation
from dragoman.engines import Capabilities
from dragoman.engines.llama.child import CPU_BATCH
from dragoman.engines.llama.embedded import EmbeddedLlama, EngineStatus
from dragoman.engines.llama.wire import Slot
from dragoman.models.resolve import resolve
from dragoman.server import ModelRegistry
from dragoman.server.endpoints import messages
from prompt import templates
from server.http import Wire, post, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE = 60
"""Time limit in seconds for work that takes one or two, on a busy machine."""
SMALL, MEDIUM, LONG, ENDLESS = 100, 700, 1250, 2000
"""Numbers of tokens: more than a short prompt, about a long prompt, five prefill steps, more than a test waits for."""
LISTS = {
    "type": "object",
    "properties": {"n": {"type": "array", "items": {"type": "integer"}, "minItems": 900}},
    "required": ["n"],
}
_numbers = count()


class InspectedEngine(EmbeddedLlama):
    """The default model with two slots, whose template opens the reasoning; the test inspects it from another thread."""

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
        """Wait until no request runs or waits, and every slot is free."""
        until(lambda: self.active == 0 and not self.busy(), PATIENCE)

    @property
    def active(self) -> int:
        assert self.registry.ready is not None
        return self.registry.ready.admission.active


@pytest.fixture(scope="module")
def engine() -> Iterator[InspectedEngine]:
    engine = InspectedEngine(resolve(None).path, context=4096, parallel=2, threads=1)
    engine.registry = registry_of(engine, id=MODEL, dialect=dialects.get("qwen3"))
    with live_registry(engine.registry) as engine.url:
        yield engine


@pytest.fixture(autouse=True)
def _settled(engine: InspectedEngine) -> Iterator[None]:
    yield
    engine.settle()


def new_request(words: int = 5, **fields: Any) -> dict[str, Any]:
    """A request with a new prompt."""
    text = f"Story {next(_numbers)}: " + "the old stone bridge by the river " * (words // 7) + "Go on."
    return body(user(text), **{"max_tokens": ENDLESS, "temperature": 0, **fields})


def in_prefill(engine: InspectedEngine, client: Wire, request: dict[str, Any]) -> int:
    """Send a request, wait until the engine is in the middle of the prompt, and yield the number of processed tokens."""
    seen: list[int] = []

    def begun() -> bool:
        seen[:] = [slot.n_prompt_tokens_processed for slot in engine.busy()]
        return bool(seen) and seen[0] > 0

    client.send(request)
    until(begun, PATIENCE)
    return seen[0]


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_a_disconnect_in_prefill_stops_it_and_a_retry_reuses_the_tokens(engine: InspectedEngine, streamed: bool) -> None:
    request = new_request(words=LONG, stream=streamed)
    with wire(engine.url) as client:
        read = in_prefill(engine, client, request)
    engine.settle()
    again = post(engine.url, {**request, "stream": False, "max_tokens": 1}).json["usage"]
    whole = again["input_tokens"] + again["cache_read_input_tokens"] + again["cache_creation_input_tokens"]
    assert read <= again["cache_read_input_tokens"] <= read + 2 * CPU_BATCH  # at most the current step and the next one
    assert again["cache_read_input_tokens"] < whole - CPU_BATCH


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "fields", [{}, {"output_config": {"format": {"type": "json_schema", "schema": LISTS}}}], ids=["text", "grammar"]
)
def test_a_disconnect_in_decode_frees_the_slot(engine: InspectedEngine, fields: dict[str, Any], streamed: bool) -> None:
    with wire(engine.url) as client:
        client.send(new_request(**fields, stream=streamed))
        if streamed:
            client.read_until(b"text_delta")
        else:
            until(lambda: any(slot.n_prompt_tokens > SMALL for slot in engine.busy()), PATIENCE)
        (slot,) = engine.busy()
    engine.settle()
    assert slot_tokens(engine)[slot.id] < slot.n_prompt_tokens + SMALL


@pytest.mark.clause("TRN-18", "THK-2")
def test_a_disconnect_after_closed_reasoning_frees_the_slot(engine: InspectedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def lower_with_small_budget(request: PromptRequest, betas: frozenset[str]) -> Conversation:
        """Lower with a thinking budget below the smallest of the API, which takes the smallest model a minute."""
        conversation = lower(request, betas)
        policy = conversation.policy
        return replace(conversation, policy=replace(policy, thinking=replace(policy.thinking, budget=6)))

    monkeypatch.setattr(messages, "lower", lower_with_small_budget)
    with wire(engine.url) as client:
        client.send(new_request(thinking={"type": "enabled", "budget_tokens": 1024}, temperature=1, stream=True))
        client.read_until(b"thinking_delta")
        client.read_until(b"text_delta")
        (slot,) = engine.busy()
    engine.settle()
    assert slot_tokens(engine)[slot.id] < slot.n_prompt_tokens + SMALL


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_a_queued_request_that_is_cancelled_never_starts(engine: InspectedEngine, streamed: bool) -> None:
    with wire(engine.url) as one, wire(engine.url) as two:
        for client in (one, two):
            client.send(new_request(stream=True))
            client.read_until(b"text_delta")
        with wire(engine.url) as queued:
            queued.send(new_request(words=MEDIUM, stream=streamed))
            until(lambda: engine.active == 3)
        until(lambda: engine.active == 2)
        assert len(engine.busy()) == 2
    engine.settle()
    assert max(slot_tokens(engine)) < MEDIUM


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_a_request_cancelled_while_the_engine_restarts_never_starts(engine: InspectedEngine, streamed: bool) -> None:
    restarts = engine.restarts
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    until(lambda: engine.status is EngineStatus.RESTARTING)
    with wire(engine.url) as waiting:
        waiting.send(new_request(words=MEDIUM, stream=streamed))
        until(lambda: engine.active == 1)
    until(lambda: engine.active == 0)
    until(lambda: engine.restarts == restarts + 1, PATIENCE)
    assert max(slot_tokens(engine)) < SMALL


def slot_tokens(engine: InspectedEngine) -> Sequence[int]:
    """The tokens in each slot, of prompt and output."""
    return [slot.n_prompt_tokens for slot in engine.view()]
