"""The Responses API, used through OpenAI's SDK, which checks every body and every event against its types."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from conftest import MODEL, Serve
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.engines.scripted import Line
from dragoman.server.answering import stream
from server.http import ask, parse_events, post

THOUGHT = "<think>\nIt rains.\n</think>\n\nTake a coat."
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'
PATCH = '<tool_call>\n{"name": "patch", "arguments": {"input": "-a\\n+b"}}\n</tool_call>'
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
CUSTOM: Any = {"type": "custom", "name": "patch", "description": "Applies a patch."}


@contextmanager
def client(url: str, key: str = "any") -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True) as sdk:
        yield sdk


def respond(url: str, **fields: Any) -> Any:
    with client(url) as sdk:
        return sdk.responses.create(**{"model": MODEL, "input": "Hi", **fields})


def events_of(url: str, **fields: Any) -> list[Any]:
    with client(url) as sdk:
        return list(sdk.responses.create(**{"model": MODEL, "input": "Hi", "stream": True, **fields}))


def test_an_answer_has_its_text_and_usage(engine: ControllableEngine) -> None:
    answer = respond(engine.says("Hello there."), metadata={"a": "b"}, instructions="Be brief.", temperature=0.5)
    assert answer.id.startswith("resp_")
    assert (answer.object, answer.status, answer.model, answer.output_text) == ("response", "completed", MODEL, "Hello there.")
    assert (answer.metadata, answer.instructions, answer.temperature) == ({"a": "b"}, "Be brief.", 0.5)
    assert answer.usage.output_tokens == 2
    assert answer.usage.total_tokens == answer.usage.input_tokens + 2
    assert answer.usage.input_tokens_details.cached_tokens == 0


@pytest.mark.clause("RSP-1", "RSP-2")
def test_a_stream_gives_the_same_answer(serve: Serve) -> None:
    url = serve(Line(THOUGHT + CALL + PATCH, chunk=3))
    with client(url) as sdk, sdk.responses.stream(model=MODEL, input="Rain?", tools=[TOOL, CUSTOM]) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    whole = respond(url, input="Rain?", tools=[TOOL, CUSTOM])
    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    differing = {"id", "call_id", "parsed", "parsed_arguments"}
    plain = [[item.model_dump(exclude=differing) for item in answer.output] for answer in (streamed, whole)]
    for items in plain:
        for item in items:
            for part in item.get("content") or ():
                part.pop("parsed", None)
    assert plain[0] == plain[1]
    assert streamed.usage == whole.usage


def test_the_stream_has_no_sentinel_and_its_events_have_names(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    answer = post(url, {"model": MODEL, "input": "Hi", "stream": True}, "/v1/responses")
    types = [event["type"] for event in parse_events(answer.content.replace(b": ping\n\n", b""))]
    assert (types[:2], types[-1]) == (["response.created", "response.in_progress"], "response.completed")


@pytest.mark.clause("RSP-16")
def test_the_messages_api_has_the_same_counts(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    messages = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    counted = post(url, messages, "/v1/messages/count_tokens").json["input_tokens"]
    assert respond(url, reasoning={"effort": "none"}).usage.input_tokens == counted
    with client(url) as sdk:
        assert sdk.responses.input_tokens.count(model=MODEL, input="Hi", reasoning={"effort": "none"}).input_tokens == counted


@pytest.mark.clause("RSP-7")
def test_reasoning_comes_as_text_or_as_a_summary_and_goes_back(serve: Serve) -> None:
    url = serve(THOUGHT, Line("So it does.", when="Sure?"))
    answer = respond(url)
    thought, _ = answer.output
    assert [part.text for part in thought.content] == ["It rains."]
    summarized = respond(url, reasoning={"summary": "auto"}).output[0]
    assert ([part.text for part in summarized.summary], summarized.content) == (["It rains."], None)
    looped = [
        {"role": "user", "content": "Rain?"},
        *(item.to_dict() for item in answer.output),
        {"role": "user", "content": "Sure?"},
    ]
    assert respond(url, input=looped).output_text == "So it does."


@pytest.mark.clause("RSP-5")
def test_a_tool_loop_works_with_functions_and_custom_tools(serve: Serve) -> None:
    url = serve("I look. " + CALL + PATCH, Line("It rains in Ulm.", when="rain, 12 degrees"))
    asked = {"role": "user", "content": "Weather in Ulm?"}
    answer = respond(url, input=[asked], tools=[TOOL, CUSTOM])
    _, call, patch = answer.output
    assert (call.name, json.loads(call.arguments), patch.name, patch.input) == (
        "get_weather",
        {"place": "Ulm"},
        "patch",
        "-a\n+b",
    )
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain, 12 degrees"},
        {"type": "custom_tool_call_output", "call_id": patch.call_id, "output": "done"},
    ]
    again = respond(url, input=[asked, *(item.to_dict() for item in answer.output), *outputs], tools=[TOOL, CUSTOM])
    assert again.output_text == "It rains in Ulm."


def test_one_call_ends_the_answer_if_parallel_calls_are_off(engine: ControllableEngine) -> None:
    assert len(respond(engine.says(CALL + "\n" + CALL), tools=[TOOL], parallel_tool_calls=False).output) == 1


@pytest.mark.clause("RSP-10")
def test_a_limit_makes_the_response_incomplete(engine: ControllableEngine) -> None:
    url = engine.says("One two three four.")
    cut = respond(url, max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason, cut.output_text) == ("incomplete", "max_output_tokens", "One two")
    assert events_of(url, max_output_tokens=2)[-1].type == "response.incomplete"


class City(BaseModel):
    """A text format."""

    name: str


def test_an_answer_with_a_text_format_is_parsed_by_the_sdk(engine: ControllableEngine) -> None:
    with client(engine.says('{"name": "Ulm"}')) as sdk:
        answer = sdk.responses.parse(model=MODEL, input="A city.", text_format=City)
    assert answer.output_parsed == City(name="Ulm")


@pytest.fixture
def failures(serve: Serve) -> str:
    return serve("Hello there.", window=300, api_key="secret")


@pytest.mark.clause("RSP-11")
@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"model": "unknown"}, openai.NotFoundError, "model_not_found", None),
        ({"input": "word " * 500}, openai.BadRequestError, "context_length_exceeded", None),
        ({"background": True}, openai.BadRequestError, None, "background"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, None, "tools.0.type"),
    ],
)
def test_errors_have_the_openai_format(
    failures: str, fields: dict[str, Any], kind: type[openai.APIStatusError], code: str | None, param: str | None
) -> None:
    with client(failures, "secret") as sdk, pytest.raises(kind) as raised:
        sdk.responses.create(**{"model": MODEL, "input": "Hi", **fields})
    assert (raised.value.code, raised.value.param, raised.value.type) == (code, param, "invalid_request_error")
    assert raised.value.request_id


@pytest.mark.clause("RSP-11")
def test_errors_of_all_paths_have_the_openai_format(failures: str) -> None:
    for path in ("/v1/responses", "/v1/responses/input_tokens"):
        for key in ("secret", "wrong"):
            answer = ask(failures, "POST", path, b"{", x_api_key=key)
            assert answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)
            assert set(answer.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.clause("RSP-10")
def test_a_late_failure_ends_the_response(serve: Serve) -> None:
    *_, last = events_of(serve(Line("Hello there.", finish_reason="error")))
    assert last.type == "response.failed"
    assert (last.response.status, last.response.error.code) == ("failed", "server_error")
    assert "the engine fails here" in last.response.error.message
    assert last.response.output[0].content[0].text == "Hello there."


@pytest.mark.clause("RSP-10")
def test_an_early_failure_is_a_status(engine: ControllableEngine) -> None:
    engine.says("Hello there.", finish_reason="error")
    engine.fails_at_once = True
    with pytest.raises(openai.InternalServerError, match="the engine fails here"):
        events_of(engine.url)


@pytest.mark.clause("RSP-12")
def test_silence_is_filled_with_events(engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 0.02)
    engine.says("Hello there.")
    engine.hold(FIRST_TOKEN)
    sdk = OpenAI(base_url=f"{engine.url}/v1", api_key="any")  # its types do not have this event, although OpenAI sends it
    with sdk, sdk.responses.create(model=MODEL, input="Hi", stream=True) as events:
        kinds: list[str] = []
        for number, event in enumerate(events):
            assert event.sequence_number == number
            kinds.append(event.type)
            if kinds.count("keepalive") == 3:
                engine.release()
    assert kinds[:5] == ["response.created", "response.in_progress", *["keepalive"] * 3]
    assert kinds[-1] == "response.completed"


def test_a_disconnect_cancels_the_request(engine: ControllableEngine) -> None:
    engine.says("Hello there, dear world.")
    engine.hold(FIRST_TOKEN)
    closed = engine.closed
    with client(engine.url) as sdk:
        stream = sdk.responses.create(model=MODEL, input="Hi", stream=True)
        until(lambda: engine.waiting == 1)
        stream.close()
    until(lambda: engine.closed == closed + 1)


def test_a_large_request_is_answered_like_a_small_one(engine: ControllableEngine) -> None:
    answer = respond(engine.says(PATCH), input="word " * 30_000, tools=[CUSTOM], metadata={"a": "b"})
    assert (answer.output[0].input, answer.metadata, answer.tools[0].name) == ("-a\n+b", {"a": "b"}, "patch")
