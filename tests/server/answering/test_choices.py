"""Several choices of one answer, used through OpenAI's SDK: `n`, lists of prompts, `echo`."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from msgspec.structs import replace
from openai import OpenAI

from conftest import MODEL, Serve, live_server, user
from controllable_engine import FIRST_TOKEN, PREFILL, ControllableEngine, until
from dragoman.engines import Capabilities, EngineKind
from dragoman.engines.scripted import Line
from dragoman.errors import EngineFailed
from server.http import post

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'
FUNCTION: Any = {"name": "get_weather", "description": "The weather.", "parameters": {"type": "object"}}


def client(url: str, *, strict: bool = True) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, _strict_response_validation=strict)


class FillingEngine(ControllableEngine):
    """Has the special tokens that fill in the middle of a text."""

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        return await super().tokenize(text if special else text.replace("<|fim_", "< |fim_"), special=special)


@pytest.fixture
def filling() -> Iterator[FillingEngine]:
    engine = FillingEngine()
    with live_server(engine, id=MODEL) as engine.url:
        yield engine


class SlottedEngine(ControllableEngine):
    """Has a KV cache for each slot, as llama.cpp does."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), kind=EngineKind.LLAMA_CPP)


@pytest.fixture
def slotted() -> Iterator[SlottedEngine]:
    engine = SlottedEngine()
    with live_server(engine, id=MODEL) as engine.url:
        yield engine


def ask_chat(url: str, **fields: Any) -> Any:
    with client(url) as sdk:
        answer = sdk.chat.completions.create(**{"model": MODEL, "messages": [user("Hi")], **fields})
        return list(answer) if fields.get("stream") else answer


def complete(url: str, **fields: Any) -> Any:
    with client(url, strict=not fields.get("stream")) as sdk:  # the SDK has one type for completions and their chunks
        answer = sdk.completions.create(**{"model": MODEL, **fields})
        return list(answer) if fields.get("stream") else answer


@pytest.mark.clause("OAI-1", "OAI-3")
def test_each_choice_is_an_answer_and_the_prompt_counts_once(engine: ControllableEngine) -> None:
    url = engine.says("Hello there, dear world.")
    one, several = ask_chat(url), ask_chat(url, n=3)
    assert [(choice.index, choice.message.content) for choice in several.choices] == [
        (index, "Hello there, dear world.") for index in range(3)
    ]
    assert several.usage.prompt_tokens == one.usage.prompt_tokens
    assert several.usage.completion_tokens == 3 * one.usage.completion_tokens


@pytest.mark.clause("OAI-1", "OAI-3")
def test_a_stream_of_several_choices_folds_to_the_same_answer(engine: ControllableEngine) -> None:
    url = engine.says("I look. " + CALL, chunk=3)
    tools: Any = [{"type": "function", "function": FUNCTION}]
    whole = ask_chat(url, n=2, tools=tools)
    with client(url) as sdk:
        asked: Any = {"messages": [user("Hi")], "n": 2, "tools": tools, "stream_options": {"include_usage": True}}
        with sdk.chat.completions.stream(model=MODEL, **asked) as stream:
            chunks = [event.chunk for event in stream if event.type == "chunk"]
            streamed = stream.get_final_completion()
    for ours, theirs in zip(whole.choices, streamed.choices, strict=True):
        assert ours.message.content == theirs.message.content == "I look."
        (call,), (other,) = ours.message.tool_calls, theirs.message.tool_calls or [None]
        assert (call.function.name, call.function.arguments) == (other.function.name, other.function.arguments)
        assert (ours.index, ours.finish_reason) == (theirs.index, theirs.finish_reason)
    assert whole.usage == streamed.usage
    order = [choice.index for chunk in chunks for choice in chunk.choices]
    assert order != sorted(order)
    assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]


@pytest.mark.clause("OAI-3")
def test_each_choice_has_a_seed_of_its_own(engine: ControllableEngine) -> None:
    engine.requests.clear()
    ask_chat(engine.says("Hi."), n=3, seed=7)
    assert [request.sampling.seed for request in engine.requests] == [7, 8, 9]
    assert len({tuple(request.tokens) for request in engine.requests}) == 1


@pytest.mark.clause("OAI-3")
def test_the_other_choices_begin_when_the_first_one_has_computed_the_prompt(engine: ControllableEngine) -> None:
    engine.says("Hello there.")
    engine.hold(FIRST_TOKEN)
    opened = engine.opened
    with client(engine.url) as sdk:
        asked: Any = {"model": MODEL, "messages": [user("Hi")], "n": 3, "stream": True}
        with sdk.chat.completions.create(**asked) as stream:
            until(lambda: engine.waiting == 1)
            assert engine.opened == opened + 1
            engine.release()
            assert {choice.index for chunk in stream for choice in chunk.choices} == {0, 1, 2}
    assert engine.opened == opened + 3


@pytest.mark.clause("OAI-3")
def test_a_disconnect_ends_all_choices(engine: ControllableEngine) -> None:
    engine.says("Hello there, dear world.")
    engine.hold(PREFILL)
    closed = engine.closed
    with client(engine.url) as sdk:
        asked: Any = {"model": MODEL, "prompt": ["a", "b", "c"], "stream": True}
        stream = sdk.completions.create(**asked)
        until(lambda: engine.waiting == 3)
        stream.close()
    until(lambda: engine.closed == closed + 3)


@pytest.mark.clause("OAI-3")
def test_a_failure_of_one_choice_ends_all(engine: ControllableEngine) -> None:
    engine.says("Hello there.")
    engine.failure = EngineFailed("it broke")
    opened, closed = engine.opened, engine.closed
    with pytest.raises(openai.InternalServerError, match="it broke"):
        ask_chat(engine.url, n=3)
    assert engine.opened - opened == engine.closed - closed
    sent = post(engine.url, {"model": MODEL, "messages": [user("Hi")], "n": 2, "stream": True}, "/v1/chat/completions").content
    *_, failure, end = sent.decode().strip().split("\n\n")
    assert "it broke" in failure
    assert (sent.count(b'"error"'), end) == (1, "data: [DONE]")


@pytest.mark.clause("OAI-3")
def test_more_choices_than_slots_take_turns(serve: Serve) -> None:
    assert len(ask_chat(serve("Hello there.", slots=1), n=5).choices) == 5


@pytest.mark.clause("OAI-3")
def test_choices_run_in_turn_where_slots_do_not_share_prompts(slotted: ControllableEngine) -> None:
    slotted.hold(FIRST_TOKEN)
    with client(slotted.url, strict=False) as sdk:
        asked: Any = {"model": MODEL, "prompt": ["a", "b"], "n": 2, "stream": True}
        with sdk.completions.create(**asked) as stream:
            until(lambda: slotted.waiting == 2)
            assert slotted.opened == 2
            slotted.release()
            order = [choice.index for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert sorted(order) == [0, 1, 2, 3]
    assert order.index(0) < order.index(1)
    assert order.index(2) < order.index(3)


@pytest.mark.clause("OAI-4")
def test_every_prompt_of_a_list_is_continued(serve: Serve) -> None:
    url = serve(Line(" upon a time.", when="Once"), Line(" be.", when="Let"), Line("?"))
    whole = complete(url, prompt=["Once", "Let it"], n=2)
    assert [(choice.index, choice.text) for choice in whole.choices] == [
        (0, " upon a time."), (1, " upon a time."), (2, " be."), (3, " be."),
    ]  # fmt: skip
    alone = [complete(url, prompt=prompt).usage for prompt in ("Once", "Let it")]
    assert whole.usage.prompt_tokens == sum(usage.prompt_tokens for usage in alone)
    assert whole.usage.completion_tokens == 2 * sum(usage.completion_tokens for usage in alone)
    streamed = complete(url, prompt=["Once", "Let it"], n=2, stream=True)
    texts = dict.fromkeys(range(4), "")
    for chunk in streamed:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [choice.text for choice in whole.choices]


@pytest.mark.clause("OAI-4")
def test_lists_of_token_ids_are_prompts_too(engine: ControllableEngine) -> None:
    engine.requests.clear()
    assert len(complete(engine.says("Hi."), prompt=[[1, 2], [3]]).choices) == 2
    assert sorted(list(request.tokens) for request in engine.requests) == [[1, 2], [3]]
    with pytest.raises(openai.BadRequestError) as raised:
        complete(engine.url, prompt=[[1, 2], [3, -1]])
    assert raised.value.param == "prompt.1.1"


@pytest.mark.clause("OAI-4")
@pytest.mark.parametrize("stream", [False, True])
def test_echo_returns_the_prompt_before_its_continuation(engine: ControllableEngine, stream: bool) -> None:
    answer = complete(engine.says(" upon a time."), prompt=["Once", "Twice"], echo=True, stream=stream)
    texts = {0: "", 1: ""}
    for chunk in answer if stream else [answer]:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {0: "Once upon a time.", 1: "Twice upon a time."}


@pytest.mark.clause("OAI-4")
def test_a_model_with_fill_in_the_middle_writes_what_is_before_the_suffix(filling: FillingEngine) -> None:
    answer = complete(filling.says("a + b"), prompt="return ", suffix=";", echo=True)
    assert answer.choices[0].text == "return a + b"
    written = "<|fim_prefix|>return <|fim_suffix|>;<|fim_middle|>"
    complete(filling.url, prompt=written)
    assert filling.prompts[0] == filling.prompts[1]


@pytest.mark.clause("OAI-4", "OAI-6")
def test_a_suffix_is_refused_by_a_model_without_fill_in_the_middle(engine: ControllableEngine) -> None:
    with pytest.raises(openai.BadRequestError, match="fill in the middle") as raised:
        complete(engine.says("a + b"), prompt="return ", suffix=";")
    assert raised.value.param == "suffix"


@pytest.mark.clause("OAI-2")
def test_the_older_functions_are_called(engine: ControllableEngine) -> None:
    url = engine.says("I look. " + CALL + CALL, chunk=3)
    choice = ask_chat(url, functions=[FUNCTION], function_call={"name": "get_weather"}).choices[0]
    assert choice.finish_reason == "function_call"
    assert (choice.message.tool_calls, choice.message.function_call.name) == (None, "get_weather")
    deltas = [chunk.choices[0].delta.function_call for chunk in ask_chat(url, functions=[FUNCTION], stream=True)]
    assert "".join(delta.name or "" for delta in deltas if delta) == "get_weather"
    assert "".join(delta.arguments or "" for delta in deltas if delta) == choice.message.function_call.arguments
