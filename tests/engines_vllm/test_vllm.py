"""The real vLLM behind the Messages API, driven by the SDK: what holds over llama.cpp holds here."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import anthropic
import jsonschema_rs
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam
from msgspec.structs import replace as with_fields

from controllable_engine import until
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import PromptRequest
from dragoman.conversation import Conversation
from dragoman.engines import Capabilities
from dragoman.engines.vllm.engine import Vllm
from dragoman.server import ModelRegistry, Settings, messages
from prompt import templates

from .conftest import connected
from .external import SLOTS, STARTS_WITHIN, External
from .questions import GREEDY, STORY, SUM, WEATHER, broken, create, said, telling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(STARTS_WITHIN * 2)]

INTERLEAVED = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
"""With it, a limit may be smaller than the budget of the reasoning."""
BUDGET = 24
ONE_NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99}}, "required": ["n"]}


def working(url: str) -> int:
    """How many requests vLLM works on, by its own count."""
    metrics = urlopen(f"{url}/metrics", timeout=10).read().decode()
    return sum(int(float(found)) for found in re.findall(r"^vllm:num_requests_running\{.*\} (\S+)$", metrics, re.MULTILINE))


def test_what_was_found_is_shown(model: Anthropic, running: str, folder: Path):
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


@pytest.mark.clause("SSE-20", "CNT-2")
def test_a_streamed_answer_is_the_collected_one_and_its_input_is_what_was_counted(model: Anthropic):
    whole = create(model, SUM)
    with model.messages.stream(model="claude-local", max_tokens=16, messages=SUM, extra_body=GREEDY) as stream:
        streamed = stream.get_final_message()
    assert said(streamed) == said(whole) != ""
    assert streamed.stop_reason == whole.stop_reason
    counted = model.messages.count_tokens(model="claude-local", messages=SUM).input_tokens
    for usage in (streamed.usage, whole.usage):
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted
    assert 0 < whole.usage.output_tokens <= 16


@pytest.mark.clause("SEQ-1", "SEQ-2")
def test_a_stop_sequence_ends_the_turn_and_is_named(model: Anthropic):
    free = said(create(model, STORY, 40))
    word = free.split()[4]
    stopped = create(model, STORY, 40, stop_sequences=[word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert said(stopped) == free[: free.index(word)]


def test_a_limit_ends_the_turn_exactly_there(model: Anthropic):
    message = create(model, STORY, 7)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 7)


@pytest.mark.clause("REQ-3")
def test_no_tokens_at_all_still_reads_the_prompt(model: Anthropic):
    message = create(model, STORY, 0)
    assert (message.content, message.usage.output_tokens) == ([], 0)


def test_a_prompt_that_came_before_is_not_read_again(model: Anthropic):
    long: list[MessageParam] = [{"role": "user", "content": "A quick brown fox and a lazy dog. " * 60}]
    first, again = create(model, long, 2).usage, create(model, long, 2).usage
    assert first.cache_read_input_tokens == 0
    assert again.cache_read_input_tokens is not None
    assert again.cache_read_input_tokens > 300
    assert again.input_tokens + again.cache_read_input_tokens == first.input_tokens


@pytest.mark.clause("TOOL-5", "STOP-2")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_forced_call_is_valid_by_its_schema(model: Anthropic, streamed: bool):
    question: list[MessageParam] = [{"role": "user", "content": "What is the weather in Ulm?"}]
    fields = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
    if streamed:
        with model.messages.stream(
            model="claude-local", max_tokens=200, messages=question, extra_body=GREEDY, **fields
        ) as stream:
            deltas = [event.partial_json for event in stream if event.type == "input_json"]
            message = stream.get_final_message()
        assert len(deltas) > 3
    else:
        message = create(model, question, 200, **fields)
    (call,) = message.content
    assert call.type == "tool_use"
    assert message.stop_reason == "tool_use"
    assert jsonschema_rs.is_valid(WEATHER["input_schema"], call.input)


@pytest.mark.clause("STR-3")
def test_an_answer_has_the_form_that_was_asked_for(model: Anthropic):
    schema = {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 99}}, "required": ["sum"]}
    message = create(model, SUM, 60, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert jsonschema_rs.is_valid(schema, json.loads(said(message)))


def test_free_text_with_tools_and_without_a_call_is_free(model: Anthropic):
    message = create(model, SUM, 16, tools=[WEATHER], tool_choice={"type": "none"})
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert all(block.type == "text" for block in message.content)


@pytest.mark.clause("TRN-18")
def test_leaving_in_the_middle_frees_the_engine(model: Anthropic, registry: ModelRegistry, running: str):
    streams = telling(model)
    assert working(running) == 3
    for stream in streams:
        stream.close()
    until(lambda: working(running) == 0)
    assert registry.ready is not None
    until(lambda: registry.ready.admission.inside == 0)


@pytest.mark.clause("ERR-11")
def test_a_prompt_beyond_the_window_is_refused_before_the_engine_sees_it(model: Anthropic):
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 2047 maximum"):
        create(model, [{"role": "user", "content": "word " * 3000}])


@pytest.mark.clause("STOP-6")
def test_max_tokens_beyond_the_window_end_with_the_window(model: Anthropic):
    message = create(model, [{"role": "user", "content": "word " * 1990}], 20_000)
    assert message.stop_reason in ("model_context_window_exceeded", "end_turn")
    assert message.usage.output_tokens < 100


class Thinker(Vllm):
    """The model, as if its template opened the reasoning."""

    async def start(self) -> Capabilities:
        return with_fields(await super().start(), chat_template=templates.THINKING)


@pytest.mark.clause("THK-1", "THK-2", "CNT-2")
@pytest.mark.parametrize("held", [False, True], ids=["free", "held to a form"])
def test_reasoning_ends_at_its_budget_and_an_answer_follows(running: str, monkeypatch: pytest.MonkeyPatch, held: bool):
    def hasty(request: PromptRequest, betas: frozenset[str]) -> Conversation:
        """The smallest budget that the API knows takes the smallest model a minute."""
        conversation = lower(request, betas)
        return replace(conversation, thinking=replace(conversation.thinking, budget=BUDGET))

    monkeypatch.setattr(messages, "lower", hasty)
    asked = {"model": "claude-local", "messages": STORY, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    form = {"output_config": {"format": {"type": "json_schema", "schema": ONE_NUMBER}}} if held else {}
    with connected(ModelRegistry(Thinker(running, Path, slots=SLOTS), Settings(dialect=dialects.get("qwen3")))) as model:
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
def test_one_that_dies_under_load_is_used_again_when_it_is_back(model: Anthropic, external: External):
    before = create(model, SUM)
    streams = telling(model)
    external.die()
    broken(streams)
    for _ in range(2):
        with pytest.raises(anthropic.APIStatusError) as raised:
            create(model, SUM)
        assert (raised.value.status_code, raised.value.type) == (529, "overloaded_error")
    external.begin()
    assert external.url
    assert said(create(model, SUM)) == said(before)
