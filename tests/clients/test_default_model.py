"""Tests the whole path: the SDK, the server, llama.cpp in its child process, the default model."""

import json
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anthropic
import jsonschema_rs
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam, ToolParam
from openai import OpenAI

from conftest import live_registry, registry_of
from controllable_engine import until
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve
from dragoman.server import ModelRegistry

from .conftest import sdk

STORY: list[MessageParam] = [{"role": "user", "content": "Tell me a story about a lighthouse."}]
GREEDY = {"temperature": 0}


@pytest.fixture(scope="module")
def engine() -> EmbeddedLlama:
    """The engine with one thread, because other processes may be busy."""
    return EmbeddedLlama(resolve(None).path, context=512, parallel=2, threads=1)


@pytest.fixture(scope="module")
def registry(engine: EmbeddedLlama) -> ModelRegistry:
    return registry_of(engine, id="default")


@pytest.fixture(scope="module")
def model(registry: ModelRegistry) -> Iterator[Anthropic]:
    with live_registry(registry) as url, sdk(url) as client:
        yield client


def create(model: Anthropic, *messages: MessageParam, **fields: object) -> Message:
    wanted = {"model": "claude-local", "max_tokens": 24, "messages": list(messages) or STORY, "extra_body": GREEDY}
    return model.messages.create(**wanted | fields)


@pytest.mark.clause("TRN-3", "RES-1", "SSE-20")
def test_streamed_and_unstreamed_answers_are_equal(model: Anthropic) -> None:
    whole = create(model)
    with model.messages.stream(model="claude-local", max_tokens=24, messages=STORY, extra_body=GREEDY) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].text.strip()
    assert [block.text for block in streamed.content] == [block.text for block in whole.content]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("max_tokens", 24)


@pytest.mark.clause("CNT-2", "USE-1", "USE-5", "PRE-1")
def test_the_count_equals_the_prompt_and_the_engine_reports_cached_tokens(model: Anthropic) -> None:
    history: list[MessageParam] = [*STORY, {"role": "assistant", "content": "Once upon a time,"}]
    count = model.messages.count_tokens(model="claude-local", messages=history).input_tokens
    create(model, *history)
    usage = create(model, *history).usage
    assert usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens == count
    assert usage.cache_read_input_tokens == count - 1  # llama.cpp computes the last token again


@pytest.mark.slow
@pytest.mark.clause("SEQ-1")
def test_a_stop_sequence_of_several_tokens_is_cut_and_reported(model: Anthropic) -> None:
    text = create(model).content[0].text
    stop = text[len(text) // 2 : len(text) // 2 + 9]
    message = create(model, stop_sequences=[stop])
    assert message.content[0].text == text[: text.index(stop)]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)


@pytest.mark.clause("ERR-11")
def test_an_overlong_prompt_is_refused_with_both_numbers_and_can_be_counted(model: Anthropic) -> None:
    long: MessageParam = {"role": "user", "content": "word " * 3000}
    count = model.messages.count_tokens(model="claude-local", messages=[long]).input_tokens
    with pytest.raises(anthropic.BadRequestError, match=rf"prompt is too long: {count} tokens > 511 maximum"):
        create(model, long)


@pytest.mark.slow
@pytest.mark.clause("STOP-6", "REQ-4")
def test_max_tokens_beyond_the_window_end_with_the_window(model: Anthropic) -> None:
    filling: MessageParam = {"role": "user", "content": "word " * 440}
    message = create(model, filling, max_tokens=20_000)
    assert message.stop_reason in ("model_context_window_exceeded", "end_turn")
    assert message.usage.output_tokens < 100


@pytest.mark.slow
@pytest.mark.clause("TRN-18")
def test_a_disconnect_frees_the_slot(model: Anthropic, registry: ModelRegistry) -> None:
    stream = model.messages.create(model="claude-local", max_tokens=1500, messages=STORY, stream=True)
    assert next(event for event in stream if event.type == "content_block_delta")
    assert registry.ready is not None
    assert registry.ready.admission.active == 1
    stream.close()
    until(lambda: registry.ready.admission.active == 0)


@pytest.mark.slow
@pytest.mark.clause("SSE-17", "SSE-18", "STOP-7")
def test_an_engine_that_dies_ends_the_stream_with_an_error_and_restarts(model: Anthropic, engine: EmbeddedLlama) -> None:
    stream = model.messages.create(model="claude-local", max_tokens=1500, messages=STORY, stream=True)
    assert next(event for event in stream if event.type == "content_block_delta")
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(anthropic.APIStatusError) as raised:
        list(stream)
    assert raised.value.type == "api_error"
    assert create(model).stop_reason == "max_tokens"
    assert engine.restarts == 1


WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a place.",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string", "maxLength": 40}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["place", "days"],
    },
}


@pytest.mark.slow
@pytest.mark.clause("TOOL-5", "STOP-2", "CACHE-4")
def test_a_tool_loop_streams_a_forced_call_and_continues_after_its_result(model: Anthropic) -> None:
    question: MessageParam = {"role": "user", "content": "What is the weather in Ulm?"}
    wanted = {"model": "claude-local", "max_tokens": 80, "tools": [WEATHER], "extra_body": GREEDY}
    with model.messages.stream(**wanted, messages=[question], tool_choice={"type": "any"}) as stream:
        deltas = [event.partial_json for event in stream if event.type == "input_json"]
        first = stream.get_final_message()
    (call,) = first.content
    assert call.type == "tool_use"
    assert first.stop_reason == "tool_use"
    assert len(deltas) > 3  # streamed, not all at the end
    assert jsonschema_rs.is_valid(WEATHER["input_schema"], call.input)
    result: MessageParam = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Rain."}]}
    history = [question, {"role": "assistant", "content": first.content}, result]
    with model.messages.stream(**wanted, messages=history, tool_choice={"type": "none"}) as stream:
        second = stream.get_final_message()
    assert [block.type for block in second.content] == ["text"]
    assert second.usage.cache_read_input_tokens >= first.usage.input_tokens + first.usage.cache_read_input_tokens


@pytest.mark.slow
@pytest.mark.clause("TOOL-4", "TOOL-11")
def test_a_call_that_the_model_chooses_to_make_follows_its_schema(model: Anthropic) -> None:
    """The calls before it do not: the model would imitate them."""
    unit = {"type": "string", "enum": ["celsius"]}
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "unit": unit}, "required": ["city", "unit"]}
    messages: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
    for city, following in pairwise(("Paris", "Oslo", "Ulm", "Rome")):
        call = {"type": "tool_use", "id": f"toolu_{city}", "name": "weather", "input": {"city": city, "unit": "kelvin"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{city}", "content": "sunny"}
        question = {"type": "text", "text": f"Weather in {following}?"}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result, question]}]
    answer = create(model, *messages, tools=[{"name": "weather", "input_schema": schema}], max_tokens=60)
    calls = [block.input for block in answer.content if block.type == "tool_use"]
    assert calls[0] == {"city": "Rome", "unit": "celsius"}


@pytest.mark.slow
@pytest.mark.clause("STR-1", "STR-3", "TOOL-11")
def test_a_format_and_a_strict_tool_constrain_the_model(model: Anthropic) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2, 3]}}, "required": ["ok", "n"]}
    answer = create(model, output_config={"format": {"type": "json_schema", "schema": schema}}, max_tokens=60)
    assert [block.type for block in answer.content] == ["text"]
    assert jsonschema_rs.is_valid(schema, json.loads(answer.content[0].text))
    strict: ToolParam = {**WEATHER, "strict": True}
    called = create(model, tools=[strict], tool_choice={"type": "tool", "name": "get_weather"}, max_tokens=80)
    assert jsonschema_rs.is_valid(WEATHER["input_schema"], called.content[0].input)


@pytest.mark.slow
@pytest.mark.clause("MOD-7")
def test_the_openai_api_serves_the_same_model(model: Anthropic) -> None:
    whole = create(model)
    function = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    with OpenAI(base_url=str(model.base_url).rstrip("/") + "/v1", api_key="any") as openai:
        listed = [found.id for found in openai.models.list()]
        request = {"model": listed[0], "max_tokens": 24, "messages": STORY, "temperature": 0, "reasoning_effort": "none"}
        answer = openai.chat.completions.create(**request)
        called = openai.chat.completions.create(
            **request | {"max_tokens": 200}, tools=[{"type": "function", "function": function}], tool_choice="required"
        )
        continued = openai.completions.create(model=listed[0], prompt="1, 2, 3, 4,", max_tokens=2, temperature=0)
        repetitive = {
            "model": listed[0],
            "prompt": "The cat sat. The cat sat. The cat sat. The cat",
            "max_tokens": 4,
            "temperature": 0,
        }
        same, other = (openai.completions.create(**repetitive, frequency_penalty=penalty) for penalty in (0, 2))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (whole.content[0].text, "length")
    assert answer.usage.prompt_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens
    assert called.choices[0].finish_reason == "tool_calls"
    assert isinstance(json.loads(called.choices[0].message.tool_calls[0].function.arguments)["a"], int)
    assert continued.choices[0].text.strip() == "5"
    assert same.choices[0].text == " sat. The cat"
    assert " sat." not in other.choices[0].text


@pytest.mark.slow
@pytest.mark.clause("IN-5", "SSE-13")
def test_what_the_model_cites_stands_in_the_document(model: Anthropic) -> None:
    words = "The lighthouse of Ulm was built in 1893. Its lamp can be seen from afar. Entrance costs three euros."
    source = {"type": "text", "media_type": "text/plain", "data": words}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    asked: Any = {"role": "user", "content": [document, {"type": "text", "text": "When was the lighthouse built?"}]}
    blocks = create(model, asked, max_tokens=40).content
    citations = [citation for block in blocks if block.type == "text" for citation in block.citations or []]
    assert citations != []
    for citation in citations:
        assert citation.type == "char_location"
        assert citation.cited_text == words[citation.start_char_index : citation.end_char_index]
