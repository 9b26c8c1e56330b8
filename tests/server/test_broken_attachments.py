"""Broken images and PDFs in every place where attachments may be: refused by their place in the newest message, else a note."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from anthropic import Anthropic
from msgspec.structs import replace

from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine, until
from dragoman.conversation import Image
from dragoman.engines import Capabilities
from media.pictures import in_base64
from server.http import Answer, get, post

BROKEN = {"image": b"\x89PNG\r\n\x1a\n cut off", "document": b"%PDF-1.7 cut off"}
TYPES = {"image": "image/png", "document": "application/pdf"}

Block = dict[str, Any]


class SeeingEngine(ControllableEngine):
    """An engine whose model sees."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), images=True)

    async def image_length(self, image: Image) -> int:
        return 5


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(SeeingEngine(), id=MODEL) as url:
        yield url


@pytest.fixture(params=BROKEN)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def data_url(kind: str) -> str:
    return f"data:{TYPES[kind]};base64,{in_base64(BROKEN[kind])}"


def block(kind: str) -> Block:
    return {"type": kind, "source": {"type": "base64", "media_type": TYPES[kind], "data": in_base64(BROKEN[kind])}}


def in_a_result(block: Block) -> list[Any]:
    """Turns at whose end a tool returns the block."""
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]}
    return [user("Look."), call, user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}])]


def in_a_document(block: Block) -> Block:
    return {"type": "document", "source": {"type": "content", "content": [block]}}


TURNS: dict[str, Callable[[Block], list[Any]]] = {
    "messages.0.content.1": lambda block: [user([{"type": "text", "text": "Look."}, block])],
    "messages.2.content.0.content.0": in_a_result,
}
DEEPER: dict[str, Callable[[Block], list[Any]]] = {
    "messages.0.content.0.source.content.0": lambda block: [user([in_a_document(block)])],
    "messages.2.content.0.content.0.source.content.0": lambda block: in_a_result(in_a_document(block)),
}
"""Documents made of blocks, which have no PDFs among them."""


def assert_refused(answer: Answer, kind: str, place: str) -> None:
    assert answer.status == HTTPStatus.BAD_REQUEST
    message = answer.json["error"]["message"]
    assert message.startswith(f"{place}."), message
    assert f"(capability_rejected: {kind}_block)" in message


@pytest.mark.clause("IN-3", "IN-8", "CC-8", "ERR-9")
@pytest.mark.parametrize("place", TURNS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_it_is_refused_by_its_place(url: str, kind: str, place: str, path: str) -> None:
    assert_refused(post(url, body(*TURNS[place](block(kind))), path), kind, place)


@pytest.mark.clause("IN-3", "IN-5", "CC-8", "ERR-9")
@pytest.mark.parametrize("place", DEEPER)
def test_an_image_in_a_document_is_refused_by_its_place(url: str, place: str) -> None:
    assert_refused(post(url, body(*DEEPER[place](block("image")))), "image", place)


@pytest.mark.clause("IN-4", "CC-8")
@pytest.mark.parametrize("place", TURNS)
def test_in_the_history_it_is_a_note(url: str, kind: str, place: str) -> None:
    turns = TURNS[place](block(kind))
    later = [{"role": "assistant", "content": "I see."}, user("Sure?")]
    assert post(url, body(*turns, *later)).status == HTTPStatus.OK


@pytest.mark.clause("IN-4", "CC-8")
@pytest.mark.parametrize("place", DEEPER)
def test_in_a_document_of_the_history_it_is_a_note(url: str, place: str) -> None:
    later = [{"role": "assistant", "content": "I see."}, user("Sure?")]
    assert post(url, body(*DEEPER[place](block("image")), *later)).status == HTTPStatus.OK


def test_at_the_top_it_is_refused_as_any_block_but_text(url: str, kind: str) -> None:
    answer = post(url, body(system=[block(kind)]))
    assert (answer.status, answer.error[0]) == (HTTPStatus.BAD_REQUEST, "invalid_request_error")
    assert answer.error[1].startswith("system.")


@pytest.mark.clause("FIL-4", "CC-8")
def test_a_broken_file_is_refused_where_it_is_named(url: str, kind: str) -> None:
    with Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        file = client.files.upload(file=("broken", BROKEN[kind], TYPES[kind]))
    named = {"type": kind, "source": {"type": "file", "file_id": file.id}}
    for place, turns in TURNS.items():
        assert_refused(post(url, body(*turns(named))), kind, place)
        later = [{"role": "assistant", "content": "I see."}, user("Sure?")]
        assert post(url, body(*turns(named), *later)).status == HTTPStatus.OK


def test_in_a_batch_it_fails_its_own_request_only(url: str, kind: str) -> None:
    wanted = {"broken": body(user([block(kind)])), "whole": body(user("Hi"))}
    requests = [{"custom_id": name, "params": params} for name, params in wanted.items()]
    batch = post(url, {"requests": requests}, "/v1/messages/batches").json["id"]
    until(lambda: get(url, f"/v1/messages/batches/{batch}").json["processing_status"] == "ended")
    with Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        results = {entry.custom_id: entry.result for entry in client.messages.batches.results(batch)}
    assert results["whole"].type == "succeeded"
    assert results["broken"].type == "errored"
    assert f"capability_rejected: {kind}_block" in results["broken"].error.error.message


def part(kind: str) -> Block:
    """The attachment in a chat completions request."""
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": data_url(kind)}}
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(kind)}}


CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CHATS: dict[str, Callable[[Block], list[Any]]] = {
    "messages.0.content.0": lambda part: [user([part])],
    "messages.2.content.0": lambda part: [
        user("Look."),
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [part]},
    ],
}


@pytest.mark.parametrize("place", CHATS)
def test_a_chat_completion_is_refused_by_its_place(url: str, kind: str, place: str) -> None:
    turns = CHATS[place](part(kind))
    assert_refused(post(url, {"model": MODEL, "messages": turns}, "/v1/chat/completions"), kind, place)
    later = [{"role": "assistant", "content": "I see."}, user("Sure?")]
    assert post(url, {"model": MODEL, "messages": [*turns, *later]}, "/v1/chat/completions").status == HTTPStatus.OK


def input_part(kind: str) -> Block:
    """The attachment in a request of the Responses API."""
    if kind == "image":
        return {"type": "input_image", "image_url": data_url(kind)}
    return {"type": "input_file", "filename": "a.pdf", "file_data": data_url(kind)}


ITEMS: dict[str, Callable[[Block], list[Any]]] = {
    "input.0.content.0": lambda part: [user([part])],
    "input.2.output.0": lambda part: [
        user("Look."),
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [part]},
    ],
}


@pytest.mark.parametrize("place", ITEMS)
def test_a_response_is_refused_by_its_place(url: str, kind: str, place: str) -> None:
    items = ITEMS[place](input_part(kind))
    assert_refused(post(url, {"model": MODEL, "input": items}, "/v1/responses"), kind, place)
    later = [{"role": "assistant", "content": "I see."}, user("Sure?")]
    assert post(url, {"model": MODEL, "input": [*items, *later]}, "/v1/responses").status == HTTPStatus.OK
