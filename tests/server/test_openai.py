"""The second door, as OpenAI's own SDK finds it."""

import json
from collections.abc import Iterator
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
        asked = {"model": MODEL, "messages": [user("Hi")], "stream": True, **fields}
        return list(sdk.chat.completions.create(**asked))


def test_an_answer_says_how_it_ended_and_what_it_cost(engine: ControllableEngine) -> None:
    answer = ask_chat(engine.says("Hello there."))
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    choice = answer.choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("Hello there.", None, "stop")
    assert answer.usage.completion_tokens == 2
    assert answer.usage.prompt_tokens + 2 == answer.usage.total_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_a_stream_is_the_answer_in_pieces_and_ends_with_its_counts_where_they_are_asked_for(engine: ControllableEngine) -> None:
    url = engine.says("Hello there, dear world.")
    whole = ask_chat(url)
    pieces = chunks_of(url, stream_options={"include_usage": True})
    assert "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices) == "Hello there, dear world."
    assert [choice.finish_reason for piece in pieces for choice in piece.choices if choice.finish_reason] == ["stop"]
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].usage == whole.usage
    assert not any(piece.usage for piece in chunks_of(url))
    raw = post(url, {"model": MODEL, "messages": [user("Hi")], "stream": True}, "/v1/chat/completions").content
    assert raw.endswith(b"data: [DONE]\n\n")


def test_the_first_doors_counts_are_the_same(engine: ControllableEngine) -> None:
    url = engine.says("Hello there.")
    counted = post(url, {"model": MODEL, "messages": [user("Hi")]}, "/v1/messages/count_tokens").json["input_tokens"]
    assert ask_chat(url, reasoning_effort="none").usage.prompt_tokens == counted


def test_reasoning_comes_as_reasoning_and_may_come_back(serve: Serve) -> None:
    url = serve(THOUGHT, Line("So it does.", when="It rains."))
    message = ask_chat(url).choices[0].message
    assert (message.reasoning_content, message.content) == ("It rains.", "Take a coat.")
    deltas = [piece.choices[0].delta for piece in chunks_of(url)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "It rains."
    looped = [user("Rain?"), message.model_dump(exclude_none=True), user("Sure?")]
    assert ask_chat(url, *looped).choices[0].message.content


def test_a_tool_loop_runs(serve: Serve) -> None:
    url = serve("I look. " + CALL, Line("It rains in Ulm.", when="rain, 12 degrees"))
    answer = ask_chat(url, user("Weather in Ulm?"), tools=[TOOL])
    call = answer.choices[0].message.tool_calls[0]
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("tool_calls", "I look.")
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "get_weather", {"place": "Ulm"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain, 12 degrees"}
    told = answer.choices[0].message.model_dump(exclude_none=True)
    assert ask_chat(url, user("Weather in Ulm?"), told, result, tools=[TOOL]).choices[0].message.content == "It rains in Ulm."


def test_a_streamed_call_is_the_same_call(serve: Serve) -> None:
    with client(serve(Line(CALL + "\n" + CALL, chunk=3))) as sdk:
        asked: Any = {"model": MODEL, "messages": [user("Weather?")], "tools": [TOOL]}
        with sdk.chat.completions.stream(**asked) as stream:
            stream.until_done()
            message = stream.get_final_completion().choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls or ()] == [{"place": "Ulm"}] * 2
    assert len({call.id for call in message.tool_calls or ()}) == 2


def test_one_call_is_enough_where_parallel_ones_are_off(engine: ControllableEngine) -> None:
    answer = ask_chat(engine.says(CALL + "\n" + CALL), tools=[TOOL], parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


def test_stop_sequences_limits_and_completion_limits_end_an_answer(engine: ControllableEngine) -> None:
    url = engine.says("One two three four.")
    assert ask_chat(url, stop=["three"]).choices[0].message.content == "One two "
    for limit in ("max_tokens", "max_completion_tokens"):
        cut = ask_chat(url, **{limit: 2}).choices[0]
        assert (cut.message.content, cut.finish_reason) == ("One two", "length")


class City(BaseModel):
    """An answer of a form."""

    name: str


def test_an_answer_of_a_form_is_read_as_that_form(engine: ControllableEngine) -> None:
    with client(engine.says('{"name": "Ulm"}')) as sdk:
        answer = sdk.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "A city."}], response_format=City
        )
    assert answer.choices[0].message.parsed == City(name="Ulm")


def test_a_text_is_gone_on_from(serve: Serve) -> None:
    with client(serve(Line(" upon a time.", when="Once"))) as sdk:
        answer = sdk.completions.create(model=MODEL, prompt="Once", max_tokens=50)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == (" upon a time.", "stop")
        assert answer.usage
        assert answer.usage.prompt_tokens > 0
        streamed = sdk.completions.create(model=MODEL, prompt=["Once"], max_tokens=50, stream=True)
        assert "".join(choice.text for piece in streamed for choice in piece.choices) == " upon a time."


def test_the_models_are_listed_for_both(engine: ControllableEngine) -> None:
    with client(engine.url) as sdk:
        listed = list(sdk.models.list())
        assert [model.id for model in listed] == [MODEL, "small", "org/model"]
        assert {(model.object, model.owned_by) for model in listed} == {("model", "dragoman")}
        assert sdk.models.retrieve(MODEL).id == MODEL


@pytest.fixture
def failures(serve: Serve) -> Iterator[str]:
    return serve("Hello there.", window=300, api_key="secret")


@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model_not_found", None),
        ({"messages": [user("word " * 500)]}, openai.BadRequestError, "context_length_exceeded", None),
        ({"n": 2}, openai.BadRequestError, None, "n"),
        ({"messages": []}, openai.BadRequestError, None, "messages"),
    ],
)
def test_a_failure_is_told_in_this_doors_words(
    failures: str, fields: dict[str, Any], kind: type[openai.APIStatusError], code: str | None, param: str | None
) -> None:
    with client(failures, "secret") as sdk, pytest.raises(kind) as raised:
        sdk.chat.completions.create(**{"model": MODEL, "messages": [user("Hi")], **fields})
    assert (raised.value.code, raised.value.param, raised.value.type) == (code, param, "invalid_request_error")
    assert raised.value.request_id


def test_a_wrong_key_is_refused_and_so_is_a_body_that_is_none(failures: str) -> None:
    with client(failures, "wrong") as sdk, pytest.raises(openai.AuthenticationError) as raised:
        sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
    assert raised.value.code == "invalid_api_key"
    for path in ("/v1/chat/completions", "/v1/completions"):
        answer = ask(failures, "POST", path, b"{", x_api_key="secret")
        assert answer.status == HTTPStatus.BAD_REQUEST
        assert set(answer.json["error"]) == {"message", "type", "param", "code"}


def test_a_late_failure_is_an_event_and_not_a_stream_that_just_closes(serve: Serve) -> None:
    with pytest.raises(openai.APIError, match="the engine fails here"):
        chunks_of(serve(Line("Hello there.", finish_reason="error")))


def test_who_leaves_takes_the_work_along(engine: ControllableEngine) -> None:
    engine.says("Hello there, dear world.")
    engine.hold(FIRST_TOKEN)
    closed = engine.closed
    with client(engine.url) as sdk:
        stream = sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True)
        until(lambda: engine.waiting == 1)
        stream.close()
    until(lambda: engine.closed == closed + 1)
