"""`/v1/messages/batches`, used through the SDK: results, order, cancellation, gaps, owners, restarts."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from conftest import MODEL, Serve, body, live_registry, live_server, registry_of, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until, until_still
from dragoman.errors import EngineFailed, EngineUnavailable
from dragoman.server import create_app
from dragoman.server.access.auth import Keyring
from dragoman.server.batches import runner
from dragoman.storage.batches import rows
from dragoman.storage.place import Place
from server.http import get, post

VERSION = "2023-06-01"
PATH = "/v1/messages/batches"


@pytest.fixture
def client(engine: ControllableEngine) -> Iterator[Anthropic]:
    with Anthropic(base_url=engine.url, api_key="any", max_retries=0) as client:
        yield client


def asked(*texts: str, **fields: Any) -> list[Any]:
    return [{"custom_id": f"r{number}", "params": body(user(text), **fields)} for number, text in enumerate(texts)]


def ended(client: Anthropic, identifier: str) -> Any:
    until(lambda: client.messages.batches.retrieve(identifier).processing_status == "ended", pause=0.02)
    return client.messages.batches.retrieve(identifier)


def results(client: Anthropic, identifier: str) -> dict[str, Any]:
    return {line.custom_id: line.result for line in client.messages.batches.results(identifier)}


@pytest.mark.clause("BAT-1", "BAT-4", "BAT-5", "BAT-6", "BAT-7")
def test_the_requests_of_a_batch_are_answered(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says("It rains.")
    made = client.messages.batches.create(requests=asked("One?", "Two?", "Three?"))
    assert made.id.startswith("msgbatch_")
    assert (made.processing_status, made.results_url, made.request_counts.processing) == ("in_progress", None, 3)
    assert (made.expires_at - made.created_at).total_seconds() == 86400
    batch = ended(client, made.id)
    assert batch.request_counts.to_dict() == {"processing": 0, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0}
    assert batch.results_url == f"{PATH}/{made.id}/results"
    assert not any(request.routing.continued for request in engine.requests[-3:])
    answers = results(client, made.id)
    assert list(answers) == ["r0", "r1", "r2"]
    message = answers["r0"].message
    assert (message.content[0].text, message.usage.service_tier, message.model) == ("It rains.", "batch", MODEL)
    raw = get(engine.url, batch.results_url)
    assert raw.headers["content-type"] == "application/x-jsonl"
    assert len(raw.content.splitlines()) == 3
    assert client.messages.batches.delete(made.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError, match="there is no batch"):
        client.messages.batches.retrieve(made.id)


@pytest.mark.clause("BAT-3", "BAT-5")
def test_a_wrong_request_is_an_errored_result(client: Anthropic) -> None:
    requests = asked("One?", "Two?")
    requests[0]["params"]["messages"] = []
    requests[1]["params"]["stream"] = True
    requests.append({"custom_id": "other", "params": body(model="nowhere")})
    requests.append({"custom_id": "none", "params": body(model=5)})
    batch = client.messages.batches.create(requests=requests)
    assert ended(client, batch.id).request_counts.errored == 4
    answers = {name: result.error for name, result in results(client, batch.id).items()}
    assert {error.error.type for error in answers.values()} == {"invalid_request_error", "not_found_error"}
    assert answers["r1"].error.message == "stream: true is not allowed in a request of a batch"
    assert answers["none"].error.message == "model: Input should be a valid string"
    assert answers["r0"].type == "error"
    assert answers["r0"].request_id.startswith("req_")


@pytest.mark.clause("BAT-2")
def test_a_wrong_batch_is_refused(engine: ControllableEngine) -> None:
    refused = post(engine.url, {"requests": [{"custom_id": "?", "params": {}}]}, PATH)
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert "requests.0.custom_id: String should match pattern" in refused.error[1]
    assert post(engine.url, {"requests": asked("a")}, PATH, anthropic_version=None).error[1].startswith("anthropic-version")
    assert post(engine.url, b"", PATH).error[1] == "The request body is empty"
    many = [{"custom_id": f"r{number}", "params": {"model": f"claude-{number}"}} for number in range(101)]
    assert post(engine.url, {"requests": many}, PATH).error[1] == "the requests of a batch may name at most 100 models"
    assert "content-type" in post(engine.url, b"{}", PATH, content_type="text/plain").error[1]
    assert "compress is not supported" in post(engine.url, b"{}", PATH, content_encoding="compress").error[1]
    assert "not gzip" in post(engine.url, b"{}", PATH, content_encoding="gzip").error[1]


@pytest.mark.clause("BAT-1", "MOD-1")
def test_batches_are_listed_newest_first_in_pages(client: Anthropic) -> None:
    before = [batch.id for batch in client.messages.batches.list()]
    ids = [client.messages.batches.create(requests=asked("a")).id for _ in range(3)][::-1]
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == [*ids, *before]
    assert [batch.id for batch in client.messages.batches.list(before_id=ids[2], limit=1).data] == [ids[1]]
    for identifier in ids:
        ended(client, identifier)


@pytest.mark.clause("BAT-4", "BAT-7")
def test_a_cancelled_batch_ends_with_what_is_answered(client: Anthropic, engine: ControllableEngine) -> None:
    engine.hold(FIRST_TOKEN)
    batch = client.messages.batches.create(requests=asked(*"abcdefgh" * 20))
    until(lambda: engine.waiting > 0)
    with pytest.raises(anthropic.BadRequestError, match="has not ended"):
        client.messages.batches.delete(batch.id)
    assert "it has not ended" in get(engine.url, f"{PATH}/{batch.id}/results").error[1]
    cancelled = client.messages.batches.cancel(batch.id)
    assert (cancelled.processing_status, cancelled.cancel_initiated_at is not None) == ("canceling", True)
    engine.release()
    counts = ended(client, batch.id).request_counts
    assert counts.succeeded >= 1
    assert counts.canceled >= 1
    assert counts.succeeded + counts.canceled == 160
    assert {result.type for result in results(client, batch.id).values()} == {"succeeded", "canceled"}
    assert client.messages.batches.cancel(batch.id).processing_status == "ended"


@pytest.mark.clause("BAT-4", "BAT-5")
def test_what_is_not_answered_in_time_is_expired(
    client: Anthropic, engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BATCH_S", 0.5)
    engine.hold(FIRST_TOKEN)
    batch = client.messages.batches.create(requests=asked(*"abcdefgh" * 20))
    until(lambda: engine.waiting > 0 and time.time() > batch.expires_at.timestamp())
    engine.release()
    counts = ended(client, batch.id).request_counts
    assert counts.expired >= 1
    assert counts.succeeded + counts.expired == 160  # what had begun was completed
    expired = next(result for result in results(client, batch.id).values() if result.type == "expired")
    assert expired.to_dict() == {"type": "expired"}


@pytest.mark.parametrize(("allowed", "used"), [(2, 2), (4, 3)])
def test_batches_use_as_many_slots_as_the_operator_allows_but_the_one_for_short_requests(allowed: int, used: int) -> None:
    engine = ControllableEngine(slots=4)
    with (
        live_server(engine, id=MODEL, batch_slots=allowed) as engine.url,
        Anthropic(base_url=engine.url, api_key="any") as client,
    ):
        engine.hold(FIRST_TOKEN)
        batch = client.messages.batches.create(requests=asked(*"abcdefgh"))
        until(lambda: engine.waiting == used)
        assert until_still(lambda: engine.waiting) == used
        engine.release()
        assert ended(client, batch.id).request_counts.succeeded == 8


@pytest.mark.parametrize("slots", [1, 3])
def test_an_interactive_request_does_not_wait_for_a_batch(slots: int) -> None:
    engine = ControllableEngine(slots=slots)
    with live_server(engine, id=MODEL) as engine.url, Anthropic(base_url=engine.url, api_key="any") as client:
        engine.hold(FIRST_TOKEN)
        batch = client.messages.batches.create(requests=asked(*"abcdefgh"))
        running = max(1, slots - 1)
        until(lambda: engine.waiting == running)
        if slots > 1:  # one slot stays free
            with client.messages.stream(**body()) as stream:
                until(lambda: engine.waiting == running + 1)
                engine.release()
                assert stream.get_final_text() == "Hello there."
        engine.release()
        assert ended(client, batch.id).request_counts.succeeded == 8


def test_a_request_is_tried_again_when_the_engine_failed(
    client: Anthropic, engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PAUSE_S", 0.01)
    engine.failure = EngineFailed("it died")
    batch = client.messages.batches.create(requests=asked("a"))
    assert ended(client, batch.id).request_counts.errored == 1
    engine.failure = EngineUnavailable("it restarts")
    before = engine.opened
    batch = client.messages.batches.create(requests=asked("a"))
    until(lambda: engine.opened > before)
    assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
    engine.failure = None
    assert ended(client, batch.id).request_counts.succeeded == 1


def test_requests_that_share_a_beginning_are_answered_one_after_the_other() -> None:
    engine = ControllableEngine(slots=2)
    with live_server(engine, id=MODEL) as engine.url, Anthropic(base_url=engine.url, api_key="any") as client:
        requests = [
            {"custom_id": f"r{number}", "params": body(user("Hi"), system="abc"[number % 3] * 3000)} for number in range(12)
        ]
        ended(client, client.messages.batches.create(requests=requests).id)
    groups = [tuple(prompt[:50]) for prompt in engine.prompts]
    assert sum(one != following for one, following in itertools.pairwise(groups)) == 2


def test_a_key_finds_its_own_batches_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[ann]\nkey = "sk-ann"\n[bob]\nkey = "sk-bob"\n', encoding="utf-8")
    registry = registry_of(ControllableEngine(), id=MODEL)
    with ExitStack() as stack:
        url = stack.enter_context(live_registry(registry, create_app(registry, keyring=Keyring.read(file))))
        with Anthropic(base_url=url, api_key="sk-ann") as ann, Anthropic(base_url=url, api_key="sk-bob") as bob:
            batch = ended(ann, ann.messages.batches.create(requests=asked("a")).id)
            assert list(bob.messages.batches.list()) == []
            for attempt in (bob.messages.batches.cancel, bob.messages.batches.delete, bob.messages.batches.retrieve):
                with pytest.raises(anthropic.NotFoundError):
                    attempt(batch.id)
            assert get(url, batch.results_url, x_api_key="sk-bob").status == HTTPStatus.NOT_FOUND


def test_a_batch_outlives_the_server(tmp_path: Path) -> None:
    engine = ControllableEngine()
    with live_server(engine, id=MODEL, place=Place(tmp_path)) as engine.url:
        engine.hold(FIRST_TOKEN)
        with Anthropic(base_url=engine.url, api_key="any") as client:
            batch = client.messages.batches.create(requests=asked("a", "b"))
            until(lambda: engine.waiting > 0)
    following = ControllableEngine()
    with live_server(following, id=MODEL, place=Place(tmp_path)) as url, Anthropic(base_url=url, api_key="any") as client:
        assert ended(client, batch.id).request_counts.succeeded == 2


def test_beta_headers_of_the_batch_hold_for_its_requests(client: Anthropic, engine: ControllableEngine) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    requests = asked("a", thinking=thinking, max_tokens=1000)
    batch = client.beta.messages.batches.create(requests=requests, betas=["interleaved-thinking-2025-05-14"])
    assert ended(client, batch.id).request_counts.succeeded in (0, 1)
    plain = client.messages.batches.create(requests=requests)
    assert ended(client, plain.id).request_counts.errored == 1


def test_a_large_batch_is_taken_in(serve: Serve) -> None:
    url = serve("Yes.")
    lines = [{"custom_id": f"r{number}", "params": body(user("word " * 50), max_tokens=1)} for number in range(500)]
    made = post(url, json.dumps({"requests": lines}, indent=1).encode(), PATH)
    assert made.json["request_counts"]["processing"] == 500
    with Anthropic(base_url=url, api_key="any") as client:
        client.messages.batches.cancel(made.json["id"])
        assert len(results(client, ended(client, made.json["id"]).id)) == 500
