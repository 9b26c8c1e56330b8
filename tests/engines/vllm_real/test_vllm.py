"""The real vLLM through the Messages API, with the SDK: the same behaviour as with llama.cpp."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anthropic
import jsonschema_rs
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam
from msgspec.structs import replace as with_fields

from conftest import registry_of
from controllable_engine import until
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import PromptRequest
from dragoman.conversation import Conversation
from dragoman.engines import Capabilities
from dragoman.engines.vllm.engine import Vllm
from dragoman.server import ModelRegistry
from dragoman.server.endpoints import messages
from prompt import templates

from .conftest import connected
from .external_server import SLOTS, STARTS_WITHIN, External
from .messages import GREEDY, STORY, SUM, WEATHER, assert_failed, create, start_streams, text_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(STARTS_WITHIN * 2)]

INTERLEAVED = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
"""With this header, `max_tokens` may be smaller than the thinking budget."""
BUDGET = 24
ONE_NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99}}, "required": ["n"]}


def working(url: str) -> int:
    """The number of requests that vLLM runs, from its metrics."""
    metrics = urlopen(f"{url}/metrics", timeout=10).read().decode()
    return sum(int(float(found)) for found in re.findall(r"^vllm:num_requests_running\{.*\} (\S+)$", metrics, re.MULTILINE))


def test_probe_results_are_shown(model: Anthropic, running: str, folder: Path) -> None:
    health = model.get("/health", cast_to=object)
    assert isinstance(health, dict)
    assert health.pop("engine") == {
        "engine": f"vLLM 0.32.0 at {running}",
        "model": str(folder),
        "window": "2048 tokens",
        "tokenizer": str(folder),
        "adapters": "none",
        "constraints": "structural tags",
        "cached tokens": "reported",
    }
    assert health == {"status": "ok", "model": "smol"}


@pytest.mark.clause("TOK-1", "TOK-2", "TOK-7")
def test_token_ids_and_log_probabilities_are_vllms_own(model: Anthropic) -> None:
    wanted = {"return_token_ids": True, "return_logprob": True, **GREEDY}
    sent = {"model": "claude-local", "max_tokens": 16, "messages": SUM, **wanted}
    message: Any = model.post("/v1/messages", body=sent, cast_to=object)
    assert len(message["output_ids"]) == message["usage"]["output_tokens"]
    assert [token for _, token in message["output_token_logprobs"]] == message["output_ids"]
    assert all(logprob <= 0 for logprob, _ in message["output_token_logprobs"])
    ids = [*message["input_ids"], *message["output_ids"]]
    scored = {"model": "claude-local", "prompt": ids, "echo": True, "max_tokens": 0, "logprobs": 1}
    completion: Any = model.post("/v1/completions", body=scored, cast_to=object)
    again = completion["choices"][0]["logprobs"]["token_logprobs"][len(message["input_ids"]) :]
    assert again == pytest.approx(
        [logprob for logprob, _ in message["output_token_logprobs"]], abs=0.3
    )  # prefill and decode round differently


@pytest.mark.clause("SSE-20", "CNT-2")
def test_a_streamed_answer_equals_the_collected_one_and_the_counted_tokens(model: Anthropic) -> None:
    whole = create(model, SUM)
    with model.messages.stream(model="claude-local", max_tokens=16, messages=SUM, extra_body=GREEDY) as stream:
        streamed = stream.get_final_message()
    assert text_of(streamed) == text_of(whole) != ""
    assert streamed.stop_reason == whole.stop_reason
    counted = model.messages.count_tokens(model="claude-local", messages=SUM).input_tokens
    for usage in (streamed.usage, whole.usage):
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted
    assert 0 < whole.usage.output_tokens <= 16


@pytest.mark.clause("SEQ-1", "SEQ-2")
def test_a_stop_sequence_ends_the_turn_and_is_named(model: Anthropic) -> None:
    free = text_of(create(model, STORY, 40))
    word = free.split()[4]
    stopped = create(model, STORY, 40, stop_sequences=[word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert text_of(stopped) == free[: free.index(word)]


def test_a_limit_ends_the_answer_exactly(model: Anthropic) -> None:
    message = create(model, STORY, 7)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 7)


@pytest.mark.clause("REQ-3")
def test_a_limit_of_zero_still_prefills_the_prompt(model: Anthropic) -> None:
    message = create(model, STORY, 0)
    assert (message.content, message.usage.output_tokens) == ([], 0)


def test_a_repeated_prompt_is_cached(model: Anthropic) -> None:
    long: list[MessageParam] = [{"role": "user", "content": "A quick brown fox and a lazy dog. " * 60}]
    first, again = create(model, long, 2).usage, create(model, long, 2).usage
    assert first.cache_read_input_tokens == 0
    assert again.cache_read_input_tokens is not None
    assert again.cache_read_input_tokens > 300
    assert again.input_tokens + again.cache_read_input_tokens == first.input_tokens


@pytest.mark.clause("TOOL-5", "STOP-2")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_forced_call_is_valid_by_its_schema(model: Anthropic, streamed: bool) -> None:
    question: list[MessageParam] = [{"role": "user", "content": "What is the weather in Ulm?"}]
    fields = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
    if streamed:
        with model.messages.stream(
            model="claude-local", max_tokens=200, messages=question, extra_body=GREEDY, **fields
        ) as stream:
            deltas = [event.partial_json for event in stream if event.type == "input_json"]
            message: Message = stream.get_final_message()
        assert len(deltas) > 3
    else:
        message = create(model, question, 200, **fields)
    (call,) = message.content
    assert call.type == "tool_use"
    assert message.stop_reason == "tool_use"
    assert jsonschema_rs.is_valid(WEATHER["input_schema"], call.input)


@pytest.mark.clause("STR-3")
def test_an_output_format_is_enforced(model: Anthropic) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 99}}, "required": ["sum"]}
    message = create(model, SUM, 60, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert jsonschema_rs.is_valid(schema, json.loads(text_of(message)))


def test_tool_choice_none_gives_free_text(model: Anthropic) -> None:
    message = create(model, SUM, 16, tools=[WEATHER], tool_choice={"type": "none"})
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert all(block.type == "text" for block in message.content)


@pytest.mark.clause("TRN-18")
def test_a_disconnect_frees_the_engine(model: Anthropic, registry: ModelRegistry, running: str) -> None:
    streams = start_streams(model)
    assert working(running) == 3
    for stream in streams:
        stream.close()
    until(lambda: working(running) == 0)
    assert registry.ready is not None
    until(lambda: registry.ready.admission.active == 0)


@pytest.mark.clause("ERR-11")
def test_a_prompt_longer_than_the_context_is_refused_before_it_is_sent(model: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 2047 maximum"):
        create(model, [{"role": "user", "content": "word " * 3000}])


@pytest.mark.clause("STOP-6")
def test_max_tokens_beyond_the_context_end_with_the_context(model: Anthropic) -> None:
    message = create(model, [{"role": "user", "content": "word " * 1990}], 20_000)
    assert message.stop_reason in ("model_context_window_exceeded", "end_turn")
    assert message.usage.output_tokens < 100


class ThinkingVllm(Vllm):
    """The engine, as if the model's template opened the reasoning."""

    async def start(self) -> Capabilities:
        return with_fields(await super().start(), chat_template=templates.THINKING)


@pytest.mark.clause("THK-1", "THK-2", "CNT-2")
@pytest.mark.parametrize("held", [False, True], ids=["free", "with a format"])
def test_reasoning_ends_at_its_budget_and_an_answer_follows(running: str, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    def with_small_budget(request: PromptRequest, betas: frozenset[str]) -> Conversation:
        """The API's smallest budget takes the smallest model a minute."""
        conversation = lower(request, betas)
        policy = conversation.policy
        return replace(conversation, policy=replace(policy, thinking=replace(policy.thinking, budget=BUDGET)))

    monkeypatch.setattr(messages, "lower", with_small_budget)
    asked = {"model": "claude-local", "messages": STORY, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    form = {"output_config": {"format": {"type": "json_schema", "schema": ONE_NUMBER}}} if held else {}
    with connected(registry_of(ThinkingVllm(running, Path, slots=SLOTS), dialect=dialects.get("qwen3"))) as model:
        with model.messages.stream(**asked, **form, max_tokens=BUDGET + 60, extra_headers=INTERLEAVED) as stream:
            message = stream.get_final_message()
        counted = model.messages.count_tokens(**asked).input_tokens
    thinking, text = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking.strip()
    assert thinking.signature
    assert text.type == "text"
    assert text.text.strip()
    if held:
        assert jsonschema_rs.is_valid(ONE_NUMBER, json.loads(text.text))
    usage = message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted
    assert BUDGET < usage.output_tokens <= BUDGET + 60
    assert usage.output_tokens_details.thinking_tokens == BUDGET


@pytest.mark.clause("SSE-17", "STOP-7", "ERR-6")
def test_a_server_that_dies_under_load_is_used_again_after_its_restart(model: Anthropic, external: External) -> None:
    before = create(model, SUM)
    streams = start_streams(model)
    external.kill()
    assert_failed(streams)
    for _ in range(2):
        with pytest.raises(anthropic.APIStatusError) as raised:
            create(model, SUM)
        assert (raised.value.status_code, raised.value.type) == (529, "overloaded_error")
    external.start()
    assert external.url
    assert text_of(create(model, SUM)) == text_of(before)
