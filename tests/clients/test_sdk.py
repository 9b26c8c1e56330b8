"""Tests the newest release line of the official SDK, as its users use it."""

from http import HTTPStatus
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, beta_tool
from anthropic.types import MessageParam, ToolParam

from conftest import MODEL, Serve
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.engines.scripted import Line
from dragoman.errors import EngineFailed, EngineUnavailable

from .conftest import sdk

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello."}]
TOOL: ToolParam = {
    "name": "get_weather",
    "description": "Weather of a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
ANSWER = (
    "<think>\nIt may rain.\n</think>\n\nLet me look.\n"
    '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'
)


def create(client: Anthropic, **fields: object) -> Any:
    return client.messages.create(**{"model": MODEL, "max_tokens": 1000, "messages": HELLO, **fields})


@pytest.mark.clause("RES-8", "TRN-6", "STOP-2")
def test_create(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says(ANSWER)
    message = create(client, tools=[TOOL])
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.stop_reason == "tool_use"
    assert message._request_id is not None
    assert message._request_id.startswith("req_")


@pytest.mark.clause("RES-8", "SSE-1", "SSE-19", "TRN-5")
def test_stream(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says(ANSWER)
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=HELLO, tools=[TOOL]) as stream:
        types = [event.type for event in stream]
        message = stream.get_final_message()
    assert {"thinking", "signature", "text", "input_json", "message_stop"} <= set(types)
    assert "ping" not in types
    thinking, text, call = message.content
    assert (thinking.thinking, text.text, call.input) == ("It may rain.", "Let me look.", {"place": "Ulm"})


@pytest.mark.clause("TRN-3")
def test_raw_stream_and_text_stream(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says("One two three.")
    with create(client, stream=True) as stream:
        assert [event.type for event in stream][-1] == "message_stop"
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "One two three."


@pytest.mark.clause("RES-8", "BETA-1", "BETA-3")
def test_beta_messages(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says(ANSWER)
    betas = ["interleaved-thinking-2025-05-14", "never-heard-of-2031-01-01"]
    fields = {"model": MODEL, "max_tokens": 1000, "messages": HELLO, "tools": [TOOL], "betas": betas}
    message = client.beta.messages.create(**fields)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    with client.beta.messages.stream(**fields) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "text", "tool_use"]
    assert client.beta.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 0


@pytest.mark.clause("CNT-1", "CNT-2", "CNT-4")
def test_count_tokens(client: Anthropic) -> None:
    fields = {"model": MODEL, "messages": HELLO, "tools": [TOOL], "system": "You are a duck."}
    counted = client.messages.count_tokens(**fields).input_tokens
    assert counted == create(client, **fields).usage.input_tokens


@pytest.mark.clause("MOD-1", "MOD-2", "MOD-3", "MOD-4", "MOD-5", "TRN-14", "TRN-15")
def test_models_with_pages(client: Anthropic) -> None:
    for limit in (1, 2, 1000):
        names = [model.id for model in client.models.list(limit=limit)]
        assert names == [MODEL, "small", "org/model", f"claude-{MODEL}"]
    assert [model.id for model in client.models.list(lifecycle=["active"])] == names
    model = client.models.retrieve("org/model")
    assert (model.id, model.lifecycle) == (MODEL, "active")
    assert model.capabilities is not None
    assert model.capabilities.image_input.supported is False


@pytest.mark.clause("TRN-1")
def test_a_base_url_with_the_prefix(engine: ControllableEngine) -> None:
    with sdk(f"{engine.url}/anthropic") as prefixed:
        assert create(prefixed).content
        assert prefixed.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens
        assert next(iter(prefixed.models.list())).id == MODEL


@pytest.mark.clause("ERR-3", "ERR-1", "ERR-10", "ERR-11", "TRN-6")
def test_errors_are_the_exceptions_that_users_catch(client: Anthropic, engine: ControllableEngine, serve: Serve) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        create(client, max_tokens=-1)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.request_id is not None
    assert refused.value.request_id.startswith("req_")
    with pytest.raises(anthropic.NotFoundError, match="gpt-9"):
        create(client, model="gpt-9")
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("gpt-9")
    engine.fails_at_once, engine.failure = True, EngineFailed("it broke")
    with pytest.raises(anthropic.InternalServerError, match="it broke"):
        create(client)
    engine.failure = EngineUnavailable("it restarts")
    with pytest.raises(anthropic.OverloadedError, match="it restarts"):
        create(client, stream=True)
    with (
        sdk(serve(api_key="secret", window=100)) as keyed,
        pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"),
    ):
        create(keyed)


@pytest.mark.clause("AUTH-1", "ERR-11")
def test_the_sdks_key_is_accepted(serve: Serve) -> None:
    with sdk(serve(api_key="secret", window=100), api_key="secret") as client:
        assert create(client, max_tokens=10).content
        with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 99 maximum"):
            create(client, messages=[{"role": "user", "content": "word " * 200}])


@pytest.mark.clause("ERR-5", "ERR-7")
def test_the_sdk_retries_only_retryable_errors(client: Anthropic, engine: ControllableEngine) -> None:
    patient = client.with_options(max_retries=1)
    engine.failure, engine.fails_at_once = EngineFailed("it broke"), True
    opened = engine.opened
    with pytest.raises(anthropic.InternalServerError):
        create(patient)
    assert engine.opened == opened + 2
    with pytest.raises(anthropic.BadRequestError) as refused:
        create(patient, max_tokens=-1)
    assert refused.value.request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.clause("SSE-17", "SSE-18")
def test_a_late_failure_is_raised_from_the_stream(client: Anthropic, engine: ControllableEngine) -> None:
    engine.says("Half an ans", finish_reason="error")
    with (
        pytest.raises(anthropic.APIStatusError) as failed,
        client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream,
    ):
        stream.until_done()
    assert failed.value.status_code == HTTPStatus.OK
    assert failed.value.type == "api_error"


@pytest.mark.clause("TRN-18")
def test_closing_the_stream_ends_the_generation(client: Anthropic, engine: ControllableEngine) -> None:
    engine.hold(before=FIRST_TOKEN)
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream:
        next(iter(stream))
        until(lambda: engine.waiting == 1)
    until(lambda: engine.waiting == 0 and engine.opened == engine.closed)


@pytest.mark.clause("RES-8", "STOP-2", "IN-9")
def test_a_tool_loop_by_hand(serve: Serve) -> None:
    url = serve(Line("It rains in Ulm.", when="rain, 12 degrees"), Line(ANSWER))
    with sdk(url) as client:
        turns: list[MessageParam] = [{"role": "user", "content": "Weather in Ulm?"}]
        first = create(client, messages=turns, tools=[TOOL])
        call = first.content[-1]
        assert call.type == "tool_use"
        turns.append(first.to_param())
        turns.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain, 12 degrees"}]}
        )
        second = create(client, messages=turns, tools=[TOOL])
        assert (second.content[0].text, second.stop_reason) == ("It rains in Ulm.", "end_turn")


@beta_tool
def get_weather(place: str) -> str:
    """Weather of a place.

    Args:
        place: Its name.
    """
    return f"rain in {place}, 12 degrees"


@pytest.mark.clause("THR-1", "THR-2", "THR-3")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_tool_runner_falls_back_from_threads_and_finishes(serve: Serve, streamed: bool) -> None:
    url = serve(Line("It rains in Ulm.", when="rain in Ulm, 12 degrees"), Line(ANSWER))
    with sdk(url, _strict_response_validation=False) as client:
        runner = client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=1000,
            messages=[{"role": "user", "content": "Weather in Ulm?"}],
            system="You are a duck.",
            tools=[get_weather],
            stream=streamed,
        )
        final = runner.until_done()
        assert (final.content[0].text, final.stop_reason) == ("It rains in Ulm.", "end_turn")
