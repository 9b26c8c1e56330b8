"""The OpenAI-compatible API, used through OpenAI's SDK."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from conftest import MODEL, Serve, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.engines.scripted import Line
from server.http import ask, post

THOUGHT = "<think>\nIt rains.\n</think>\n\nTake a coat."
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def client(url: str, key: str = "any", **options: Any) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, **options)


def ask_chat(url: str, *messages: Any, **fields: Any) -> Any:
    with client(url) as sdk:
        return sdk.chat.completions.create(model=MODEL, messages=list(messages) or [user("Hi")], **fields)


def chunks_of(url: str, **fields: Any) -> list[ChatCompletionChunk]:
    with client(url) as sdk:
        arguments = {"model": MODEL, "messages": [user("Hi")], "stream": True, **fields}
        return list(sdk.chat.completions.create(**arguments))


def test_an_answer_has_its_finish_reason_and_usage(engine: ControllableEngine) -> None:
    answer = ask_chat(engine.says("Hello there."))
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    choice = answer.choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("Hello there.", None, "stop")
    assert answer.usage.completion_tokens == 2
    assert answer.usage.prompt_tokens + 2 == answer.usage.total_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_a_stream_has_the_answer_in_chunks_and_the_usage_if_requested(engine: ControllableEngine) -> None:
    url = engine.says("Hello there, dear world.")
    whole = ask_chat(url)
    chunks = chunks_of(url, stream_options={"include_usage": True})
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hello there, dear world."
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    assert not any(chunk.usage for chunk in chunks_of(url))
    raw = post(url, {"model": MODEL, "messages": [user("Hi")], "stream": True}, "/v1/chat/completions").content
    assert raw.endswith(b"data: [DONE]\n\n")


def test_the_messages_api_has_the_same_counts(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    counted = post(url, {"model": MODEL, "messages": [user("Hi")]}, "/v1/messages/count_tokens").json["input_tokens"]
    assert ask_chat(url, reasoning_effort="none").usage.prompt_tokens == counted


def test_reasoning_is_sent_separately_and_may_be_sent_back(serve: Serve) -> None:
    url = serve(THOUGHT, Line("So it does.", when="It rains."))
    message = ask_chat(url).choices[0].message
    assert (message.reasoning_content, message.content) == ("It rains.", "Take a coat.")
    deltas = [chunk.choices[0].delta for chunk in chunks_of(url)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "It rains."
    looped = [user("Rain?"), message.model_dump(exclude_none=True), user("Sure?")]
    assert ask_chat(url, *looped).choices[0].message.content


def test_a_tool_loop_works(serve: Serve) -> None:
    url = serve("I look. " + CALL, Line("It rains in Ulm.", when="rain, 12 degrees"))
    answer = ask_chat(url, user("Weather in Ulm?"), tools=[TOOL])
    call = answer.choices[0].message.tool_calls[0]
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("tool_calls", "I look.")
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "get_weather", {"place": "Ulm"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain, 12 degrees"}
    message = answer.choices[0].message.model_dump(exclude_none=True)
    assert (
        ask_chat(url, user("Weather in Ulm?"), message, result, tools=[TOOL]).choices[0].message.content == "It rains in Ulm."
    )


@pytest.mark.clause("OAI-12")
def test_a_custom_tool_is_called_with_plain_text(serve: Serve) -> None:
    patch = '<tool_call>\n{"name": "patch", "arguments": {"input": "-a\\n+b"}}\n</tool_call>'
    url = serve(Line("Done.", when="patched"), patch)
    fields: Any = {"messages": [user("Patch it.")], "tools": [{"type": "custom", "custom": {"name": "patch"}}]}
    (choice,) = ask_chat(url, *fields["messages"], tools=fields["tools"]).choices
    (call,) = choice.message.tool_calls
    assert (call.type, call.custom.name, call.custom.input, choice.finish_reason) == ("custom", "patch", "-a\n+b", "tool_calls")
    deltas = [delta for chunk in chunks_of(url, **fields) for delta in chunk.choices[0].delta.tool_calls or ()]
    assert "".join(delta.to_dict()["custom"]["input"] for delta in deltas) == "-a\n+b"
    result = {"role": "tool", "tool_call_id": call.id, "content": "patched"}
    again = ask_chat(url, *fields["messages"], choice.message.model_dump(exclude_none=True), result, tools=fields["tools"])
    assert again.choices[0].message.content == "Done."


def test_a_streamed_call_is_the_same_call(serve: Serve) -> None:
    with client(serve(Line(CALL + "\n" + CALL, chunk=3))) as sdk:
        arguments: Any = {"model": MODEL, "messages": [user("Weather?")], "tools": [TOOL]}
        with sdk.chat.completions.stream(**arguments) as stream:
            stream.until_done()
            message = stream.get_final_completion().choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls or ()] == [{"place": "Ulm"}] * 2
    assert len({call.id for call in message.tool_calls or ()}) == 2


def test_one_call_ends_the_answer_if_parallel_calls_are_off(engine: ControllableEngine) -> None:
    answer = ask_chat(engine.says(CALL + "\n" + CALL), tools=[TOOL], parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


def test_stop_sequences_and_limits_end_an_answer(engine: ControllableEngine) -> None:
    url = engine.says("One two three four.")
    assert ask_chat(url, stop=["three"]).choices[0].message.content == "One two "
    for limit in ("max_tokens", "max_completion_tokens"):
        cut = ask_chat(url, **{limit: 2}).choices[0]
        assert (cut.message.content, cut.finish_reason) == ("One two", "length")


class City(BaseModel):
    """A response format."""

    name: str


def test_an_answer_with_a_response_format_is_parsed_by_the_sdk(engine: ControllableEngine) -> None:
    with client(engine.says('{"name": "Ulm"}')) as sdk:
        answer = sdk.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "A city."}], response_format=City
        )
    assert answer.choices[0].message.parsed == City(name="Ulm")


def test_a_text_is_continued(serve: Serve) -> None:
    with client(serve(Line(" upon a time.", when="Once"))) as sdk:
        answer = sdk.completions.create(model=MODEL, prompt="Once", max_tokens=50)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == (" upon a time.", "stop")
        assert answer.usage
        assert answer.usage.prompt_tokens > 0
        streamed = sdk.completions.create(model=MODEL, prompt=["Once"], max_tokens=50, stream=True)
        assert "".join(choice.text for chunk in streamed for choice in chunk.choices) == " upon a time."


def test_models_are_listed(engine: ControllableEngine) -> None:
    with client(engine.url) as sdk:
        listed = list(sdk.models.list())
        assert [model.id for model in listed] == [MODEL, "small", "org/model", f"claude-{MODEL}"]
        assert {(model.object, model.owned_by) for model in listed} == {("model", "dragoman")}
        assert sdk.models.retrieve(MODEL).id == MODEL


@pytest.fixture
def failures(serve: Serve) -> str:
    return serve("Hello there.", window=300, api_key="secret")


@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"model": "unknown"}, openai.NotFoundError, "model_not_found", None),
        ({"messages": [user("word " * 500)]}, openai.BadRequestError, "context_length_exceeded", None),
        ({"top_logprobs": 2}, openai.BadRequestError, None, "top_logprobs"),
        ({"messages": []}, openai.BadRequestError, None, "messages"),
    ],
)
def test_errors_have_the_openai_format(
    failures: str, fields: dict[str, Any], kind: type[openai.APIStatusError], code: str | None, param: str | None
) -> None:
    with client(failures, "secret") as sdk, pytest.raises(kind) as raised:
        sdk.chat.completions.create(**{"model": MODEL, "messages": [user("Hi")], **fields})
    assert (raised.value.code, raised.value.param, raised.value.type) == (code, param, "invalid_request_error")
    assert raised.value.request_id


@pytest.mark.clause("OAI-6")
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("embeddings", lambda sdk: sdk.embeddings.create(model=MODEL, input="Hi")),
        ("moderations", lambda sdk: sdk.moderations.create(input="Hi")),
        ("images", lambda sdk: sdk.images.generate(prompt="A dot.")),
        ("audio", lambda sdk: sdk.audio.speech.create(model="tts", voice="alloy", input="Hi")),
        ("vector_stores", lambda sdk: sdk.vector_stores.create()),
        ("chat", lambda sdk: sdk.chat.completions.retrieve("chatcmpl-1")),
    ],
)
def test_what_only_openai_has_is_refused_by_name(engine: ControllableEngine, name: str, call: Callable[[OpenAI], Any]) -> None:
    with (
        client(engine.url) as sdk,
        pytest.raises(openai.NotFoundError, match=f"no such path: .*/v1/{name}.*this server has") as raised,
    ):
        call(sdk)
    assert (raised.value.code, raised.value.type) == ("unknown_url", "invalid_request_error")


@pytest.mark.clause("OAI-6")
def test_a_bias_of_a_token_that_the_model_lacks_is_refused(engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllableEngine, "vocabulary", 100)
    assert ask_chat(engine.url, logit_bias={"99": 5}).choices
    with pytest.raises(openai.BadRequestError) as raised:
        ask_chat(engine.url, logit_bias={"100": 5})
    assert raised.value.param == "logit_bias.100"


def test_a_wrong_key_and_an_invalid_body_are_refused(failures: str) -> None:
    with client(failures, "wrong") as sdk, pytest.raises(openai.AuthenticationError) as raised:
        sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
    assert raised.value.code == "invalid_api_key"
    for path in ("/v1/chat/completions", "/v1/completions"):
        answer = ask(failures, "POST", path, b"{", x_api_key="secret")
        assert answer.status == HTTPStatus.BAD_REQUEST
        assert set(answer.json["error"]) == {"message", "type", "param", "code"}


def test_a_late_failure_is_an_error_event(serve: Serve) -> None:
    with pytest.raises(openai.APIError, match="the engine fails here"):
        chunks_of(serve(Line("Hello there.", finish_reason="error")))


def test_a_disconnect_cancels_the_request(engine: ControllableEngine) -> None:
    engine.says("Hello there, dear world.")
    engine.hold(FIRST_TOKEN)
    closed = engine.closed
    with client(engine.url) as sdk:
        stream = sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True)
        until(lambda: engine.waiting == 1)
        stream.close()
    until(lambda: engine.closed == closed + 1)
