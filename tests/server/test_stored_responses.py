"""Stored responses, used through OpenAI's SDK: continued, retrieved, listed, deleted."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from conftest import MODEL, Serve, live_registry, registry_of
from controllable_engine import ControllableEngine
from dragoman.engines.scripted import Line
from dragoman.server import create_app
from dragoman.server.access.auth import Keyring
from dragoman.server.answering import stream
from dragoman.storage.place import Place
from dragoman.storage.responses import ResponseStore, StoredResponse
from server.http import ask, post

from .test_responses import CALL, CUSTOM, PATCH, THOUGHT, TOOL, client, events_of, respond


def words(engine: ControllableEngine) -> str:
    """The text of the newest prompt."""
    return "".join(engine.words[token] for token in engine.prompts[-1])


@pytest.mark.clause("RSP-13")
def test_a_stored_response_is_retrieved_as_it_was_answered(serve: Serve) -> None:
    url = serve(THOUGHT + CALL + PATCH)
    answer = respond(url, tools=[TOOL, CUSTOM], metadata={"a": "b"}, instructions="Be brief.")
    with client(url) as sdk:
        assert sdk.responses.retrieve(answer.id) == answer
        last = events_of(url)[-1].response
        assert sdk.responses.retrieve(last.id) == last


@pytest.mark.clause("RSP-20")
@pytest.mark.parametrize("streamed", [True, False])
def test_the_stream_of_a_stored_response_is_read_again(serve: Serve, streamed: bool) -> None:
    url = serve(Line(THOUGHT + CALL + PATCH, chunk=5))
    sent = events_of(url, tools=[TOOL, CUSTOM]) if streamed else []
    identifier = sent[-1].response.id if streamed else respond(url, tools=[TOOL, CUSTOM]).id
    with client(url) as sdk:
        again = list(sdk.responses.retrieve(identifier, stream=True))
        rest = list(sdk.responses.retrieve(identifier, stream=True, starting_after=7))
        assert again[-1].response == sdk.responses.retrieve(identifier)
    assert [event.sequence_number for event in again] == list(range(len(again)))
    assert rest == again[8:]
    assert again == (sent or again)
    assert [again[0].type, again[-1].type] == ["response.created", "response.completed"]


@pytest.mark.clause("RSP-13")
def test_a_conversation_continues_from_a_stored_response(serve: Serve) -> None:
    url = serve(THOUGHT + CALL, Line("Yes.", when="Really?"), Line("Wet.", when="rain, 12 degrees"))
    first = respond(url, input="Weather in Ulm?", tools=[TOOL], instructions="Be brief.")
    call = first.output[-1]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain, 12 degrees"}
    second = respond(url, input=[output], previous_response_id=first.id, tools=[TOOL])
    assert (second.output_text, second.previous_response_id, second.instructions) == ("Wet.", first.id, None)
    third = events_of(url, input="Really?", previous_response_id=second.id)[-1].response
    assert third.output[0].content[0].text == "Yes."


@pytest.mark.clause("RSP-13", "RSP-16")
def test_the_prompt_of_a_continued_response_is_that_of_the_whole_conversation(engine: ControllableEngine) -> None:
    url = engine.says(THOUGHT)
    first = respond(url, input="Rain?")
    respond(url, input="Sure?", previous_response_id=first.id)
    continued = words(engine)
    items = [
        {"role": "user", "content": "Rain?"},
        *(item.to_dict() for item in first.output),
        {"role": "user", "content": "Sure?"},
    ]
    respond(url, input=items, store=False)
    assert words(engine) == continued
    with client(url) as sdk:
        counted = sdk.responses.input_tokens.count(model=MODEL, input="Sure?", previous_response_id=first.id)
    assert counted.input_tokens == len(engine.prompts[-1])


def test_a_reference_is_resolved_to_its_item(engine: ControllableEngine) -> None:
    url = engine.says(THOUGHT)
    first = respond(url, input="Rain?")
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    second = respond(url, input=[{"role": "user", "content": "Rain?"}, *references, {"role": "user", "content": "Sure?"}])
    assert "Take a coat." in words(engine)
    with client(url) as sdk:
        assert [item.type for item in sdk.responses.input_items.list(second.id)] == [
            "message",
            "message",
            "reasoning",
            "message",
        ]


@pytest.mark.clause("RSP-13")
def test_input_items_have_ids_and_pages(engine: ControllableEngine) -> None:
    url = engine.says(THOUGHT)
    image = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"}
    content = [{"type": "input_text", "text": "Rain?"}, image]
    first = respond(url, input=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}])
    second = respond(url, input="Sure?", previous_response_id=first.id)
    with client(url) as sdk:
        everything = list(sdk.responses.input_items.list(second.id, order="asc", limit=2))
        page = sdk.responses.input_items.list(second.id)
    kinds = [(item.type, getattr(item, "role", None)) for item in everything]
    assistant = [("reasoning", None), ("message", "assistant")]
    assert kinds == [("message", "developer"), ("message", "user"), *assistant, ("message", "user")]
    assert everything[1].content[1].image_url == image["image_url"]
    assert [item.id for item in page.data] == [item.id for item in reversed(everything)]
    assert len({item.id for item in everything}) == 5
    assert not page.has_more


@pytest.mark.clause("RSP-13")
def test_a_deleted_response_is_gone(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    answer = respond(url)
    with client(url) as sdk:
        sdk.responses.delete(answer.id)
        for attempt in (
            lambda: sdk.responses.retrieve(answer.id),
            lambda: sdk.responses.retrieve(answer.id, stream=True),
            lambda: sdk.responses.delete(answer.id),
            lambda: sdk.responses.input_items.list(answer.id),
            lambda: sdk.responses.cancel(answer.id),
        ):
            with pytest.raises(openai.NotFoundError, match="no stored response"):
                attempt()


@pytest.mark.clause("RSP-14")
def test_what_must_not_be_stored_is_not(engine: ControllableEngine) -> None:
    answer = respond(engine.says("Hello there."), store=False)
    assert not answer.store
    with client(engine.url) as sdk, pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(answer.id)


def test_a_response_that_is_not_stored_cannot_be_continued(engine: ControllableEngine) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        respond(engine.says("Hello there."), previous_response_id="resp_0")
    assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "?stream=true&starting_after=-1", "starting_after: Input should be the number"),
        ("POST", "/cancel", "only responses in the background"),
        ("GET", "/input_items?limit=0", "limit: Input should be"),
        ("GET", "/input_items?limit=%C2%B2", "limit: Input should be"),
        ("GET", "/input_items?limit=1000000000000000", "limit: Input should be"),
        ("GET", "/input_items?order=up", "order: Input should be"),
        ("GET", "/input_items?after=x", "after: there is no item x"),
    ],
)
def test_what_cannot_be_done_with_a_response_is_refused_by_name(
    engine: ControllableEngine, method: str, path: str, message: str
) -> None:
    identifier = respond(engine.says("Hello there.")).id
    answer = ask(engine.url, method, f"/v1/responses/{identifier}{path}")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert message in answer.json["error"]["message"]


def test_responses_outlive_the_server(serve: Serve, tmp_path: Path) -> None:
    answer = respond(serve("Hello there.", place=Place(tmp_path / "data")))
    with client(serve(place=Place(tmp_path / "data"))) as sdk:
        assert sdk.responses.retrieve(answer.id) == answer


def test_a_response_that_cannot_be_stored_is_sent_all_the_same(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    assert respond(serve("Hello there.", place=Place(tmp_path / "data"))).output_text == "Hello there."


def test_nothing_is_stored_with_a_limit_of_zero(serve: Serve) -> None:
    assert not respond(serve("Hello there.", responses_limit=0)).store


@pytest.mark.clause("RSP-14")
def test_a_key_finds_its_own_responses_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[ann]\nkey = "sk-ann"\n[bob]\nkey = "sk-bob"\n', encoding="utf-8")
    registry = registry_of(ControllableEngine(), id=MODEL)
    with live_registry(registry, create_app(registry, keyring=Keyring.read(file))) as url:
        with client(url, "sk-ann") as ann:
            answer = ann.responses.create(model=MODEL, input="Hi")
            assert ann.responses.retrieve(answer.id) == answer
        for streamed in (True, False):
            with client(url, "sk-bob") as bob, pytest.raises(openai.NotFoundError):
                bob.responses.retrieve(answer.id, stream=streamed)
        with client(url, "sk-bob") as bob, pytest.raises(openai.BadRequestError):
            bob.responses.create(model=MODEL, input="Hi", previous_response_id=answer.id)


def test_a_large_history_is_prepared_in_a_worker(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    first = respond(url, input="word " * 30_000)
    second = respond(url, input="Sure?", previous_response_id=first.id)
    assert second.usage.input_tokens > 30_000
    body = {"model": MODEL, "input": "Sure?", "previous_response_id": first.id}
    assert post(url, body, "/v1/responses/input_tokens").json["input_tokens"] == second.usage.input_tokens


@pytest.mark.clause("RSP-13")
def test_the_stream_ends_after_the_response_is_stored(engine: ControllableEngine) -> None:
    with OpenAI(base_url=f"{engine.says('Hello there.')}/v1", api_key="any") as sdk:
        for _ in range(20):
            with sdk.responses.create(model=MODEL, input="Hi", stream=True) as events:
                last: Any = next(event for event in events if event.type == "response.completed")
            assert json.loads(sdk.responses.retrieve(last.response.id).to_json())["status"] == "completed"


@pytest.mark.clause("RSP-10", "RSP-12")
def test_nothing_comes_between_the_last_events_while_a_response_is_stored(
    engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = ResponseStore.save

    async def slow_save(self: ResponseStore, response: StoredResponse) -> None:
        await asyncio.sleep(10 * stream.PING_INTERVAL)
        await save(self, response)

    monkeypatch.setattr(stream, "PING_INTERVAL", 0.02)
    monkeypatch.setattr(ResponseStore, "save", slow_save)
    sdk = OpenAI(base_url=f"{engine.says('Hello there.')}/v1", api_key="any")
    with sdk, sdk.responses.create(model=MODEL, input="Hi", stream=True) as events:
        numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(numbers)))
