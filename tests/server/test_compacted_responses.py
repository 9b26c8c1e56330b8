"""`POST /v1/responses/compact`: the model's own summary as an item that later requests have as input."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from conftest import MODEL, live_server
from dragoman.engines.scripted import Line, ScriptedEngine
from server.http import post
from server.recording_engine import RecordingEngine

from .test_responses import client, respond

ASKED = "Write a summary of this conversation."
SUMMARY = "They count sheep, 17 so far."
TALK: list[Any] = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "Let us count sheep."},
    {"role": "assistant", "content": "baa " * 40},
    {"role": "user", "content": "How many now?"},
    {"role": "assistant", "content": "Seventeen."},
]
CALLS: list[Any] = [
    {"type": "function_call", "call_id": "c", "name": "count", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "17"},
]


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[str, RecordingEngine]]:
    engine = RecordingEngine(Line(SUMMARY, when=ASKED), "Eighteen.")
    with live_server(engine) as url:
        yield url, engine


def compacted(url: str, **fields: Any) -> dict[str, Any]:
    answer = post(url, {"model": MODEL, **fields}, "/v1/responses/compact")
    assert answer.status == 200, answer.json
    return dict(answer.json)


@pytest.mark.clause("RSP-18")
def test_the_output_is_the_input_of_the_next_request(serving: tuple[str, RecordingEngine]) -> None:
    url, engine = serving
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as sdk:  # its types have no messages of the user in an output
        response = sdk.responses.with_raw_response.compact(model=MODEL, input=TALK + CALLS)
    answer, output = response.parse(), json.loads(response.text)["output"]
    assert (answer.object, [item.type for item in answer.output]) == (
        "response.compaction",
        ["message", "message", "message", "compaction"],
    )
    assert answer.usage.output_tokens > 0
    assert "baa baa" in engine.texts[-1]
    again = respond(url, input=[*output, {"role": "user", "content": "And now?"}])
    assert again.output_text == "Eighteen."
    prompt = engine.texts[-1]
    assert "baa" not in prompt
    places = [prompt.index(text) for text in ("Be kind.", "count sheep", "How many", SUMMARY, "And now?")]
    assert places == sorted(places)


@pytest.mark.clause("RSP-18")
def test_a_stored_response_is_compacted_with_all_that_it_continues(serving: tuple[str, RecordingEngine]) -> None:
    url, engine = serving
    first = respond(url, input="Let us count sheep.")
    answer = compacted(url, previous_response_id=first.id, input="Sum up.")
    assert [item.get("role") for item in answer["output"]] == ["user", "user", None]
    assert "Eighteen." in engine.texts[-1]
    stored = respond(url, input=[*answer["output"], {"role": "user", "content": "Go on"}])
    with client(url) as sdk:
        kinds = [item.type for item in sdk.responses.input_items.list(stored.id, order="asc")]
    assert kinds == ["message", "message", "compaction", "message"]
    assert respond(url, input="More?", previous_response_id=stored.id).output_text == "Eighteen."


def test_old_messages_of_the_user_that_take_too_much_room_are_left_to_the_summary(serving: tuple[str, RecordingEngine]) -> None:
    url, _ = serving
    talk = [TALK[0], {"role": "user", "content": "baa " * 25_000}, {"role": "user", "content": "And?"}]
    kept = compacted(url, input=talk)["output"]
    assert [item["content"][0]["text"] for item in kept[:-1]] == ["Be kind.", "And?"]


@pytest.mark.clause("RSP-9", "RSP-18")
@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/compact", {"input": "Hi", "stream": True}, "stream"),
        ("/compact", {}, "input"),
        ("/compact", {"input": "Hi", "previous_response_id": "resp_0"}, "previous_response_id"),
        ("", {"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}, "input.0.encrypted_content"),
    ],
)
def test_what_cannot_be_compacted_or_read_is_refused(
    serving: tuple[str, RecordingEngine], path: str, fields: dict[str, Any], param: str
) -> None:
    refused = post(serving[0], {"model": MODEL, **fields}, f"/v1/responses{path}")
    assert (refused.status, refused.json["error"]["param"]) == (400, param)


@pytest.mark.clause("RSP-18")
def test_a_compaction_that_was_changed_is_refused(serving: tuple[str, RecordingEngine]) -> None:
    url, _ = serving
    *_, item = compacted(url, input=TALK)["output"]
    changed = item | {"encrypted_content": item["encrypted_content"][:-4] + "AAAA"}
    with pytest.raises(openai.BadRequestError, match="not a compaction of this server"):
        respond(url, input=[changed, {"role": "user", "content": "Go on"}])


def test_a_model_that_writes_no_summary_fails() -> None:
    with live_server(ScriptedEngine([Line("<summary></summary>")], model=MODEL)) as url:
        failed = post(url, {"model": MODEL, "input": "Hi"}, "/v1/responses/compact")
        assert (failed.status, failed.json["error"]["message"]) == (500, "the model wrote no summary of the conversation")
