"""Token ids and log-probabilities in answers, and token ids as the prompt, in each API format."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from msgspec.structs import replace

from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine
from dragoman.engines import Capabilities
from server.http import parse_events, post
from server.test_count import TOOL

THOUGHT = "<think>\nIt rains.\n</think>\n\n"
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'
TURN = f"{THOUGHT}Let me see. {CALL}"
WANTED = {"return_token_ids": True, "return_logprob": True}
THINKING = {"type": "enabled", "budget_tokens": 1024}


def answer(url: str, path: str = "/v1/messages", **fields: Any) -> dict[str, Any]:
    given = body(**fields) if path == "/v1/messages" else {"model": MODEL, **fields}
    response = post(url, given, path)
    assert response.status == HTTPStatus.OK, response.content
    whole: dict[str, Any] = response.json
    return whole


def text_of(engine: ControllableEngine, ids: list[int]) -> str:
    return "".join(engine.words[token] for token in ids)


@pytest.fixture
def turn(engine: ControllableEngine) -> ControllableEngine:
    engine.says(TURN)
    return engine


@pytest.mark.clause("TOK-1", "TOK-2")
def test_a_message_has_the_ids_that_the_engine_read_and_wrote(turn: ControllableEngine) -> None:
    message = answer(turn.url, tools=[TOOL], thinking=THINKING, max_tokens=2000, **WANTED)
    assert message["input_ids"] == turn.prompts[-1]
    assert text_of(turn, message["output_ids"]) == TURN
    assert len(message["output_ids"]) == message["usage"]["output_tokens"]
    assert [token for _, token in message["output_token_logprobs"]] == message["output_ids"]
    assert all(logprob < 0 for logprob, _ in message["output_token_logprobs"])


@pytest.mark.clause("TOK-1")
def test_each_block_has_the_ids_that_it_was_read_from(turn: ControllableEngine) -> None:
    message = answer(turn.url, tools=[TOOL], thinking=THINKING, max_tokens=2000, **WANTED)
    texts = [text_of(turn, block["output_ids"]) for block in message["content"]]
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert "".join(texts) == TURN
    assert ["It rains." in texts[0], "see." in texts[1], "get_weather" in texts[2]] == [True] * 3
    assert [[token for _, token in block["output_token_logprobs"]] for block in message["content"]] == [
        block["output_ids"] for block in message["content"]
    ]


@pytest.mark.clause("TOK-3")
def test_a_stream_has_each_id_in_one_event(turn: ControllableEngine) -> None:
    fields = {"tools": [TOOL], "thinking": THINKING, "max_tokens": 2000, **WANTED}
    whole = answer(turn.url, **fields)
    events = parse_events(post(turn.url, body(stream=True, **fields)).content)
    assert events[0]["message"]["input_ids"] == whole["input_ids"]
    assert [token for event in events for token in event.get("output_ids", ())] == whole["output_ids"]
    pairs = [pair for event in events for pair in event.get("output_token_logprobs", ())]
    assert pairs == whole["output_token_logprobs"]
    assert {event["type"] for event in events if "output_ids" in event} == {"content_block_delta"}


@pytest.mark.parametrize(
    ("fields", "present"), [({}, set()), ({"return_token_ids": True}, {"input_ids", "output_ids"}),
                            ({"return_logprob": True}, {"output_token_logprobs"})],
)  # fmt: skip
def test_only_what_was_asked_for_is_in_the_answer(
    engine: ControllableEngine, fields: dict[str, Any], present: set[str]
) -> None:
    message = answer(engine.says("Hello there."), **fields)
    names = {"input_ids", "output_ids", "output_token_logprobs"}
    assert names & set(message) == present
    assert names & set(message["content"][0]) == present - {"input_ids"}


def test_a_blank_answer_has_its_ids_at_the_end_of_the_stream(engine: ControllableEngine) -> None:
    engine.says("<think>\n\n</think>\n\n")
    assert answer(engine.url, **WANTED)["content"] == []
    events = parse_events(post(engine.url, body(stream=True, **WANTED)).content)
    assert [event["type"] for event in events if "output_ids" in event] == ["message_delta"]
    assert text_of(engine, answer(engine.url, **WANTED)["output_ids"]).startswith("<think>")


def test_what_a_stop_sequence_hides_is_among_the_ids(engine: ControllableEngine) -> None:
    message = answer(engine.says("one two three four", chunk=1), stop_sequences=["three"], **WANTED)
    assert (message["stop_sequence"], message["content"][0]["text"]) == ("three", "one two ")
    assert text_of(engine, message["output_ids"]) == "one two three"


@pytest.mark.clause("TOK-4", "TOK-2")
def test_closed_reasoning_continues_with_the_very_ids_that_the_model_wrote(engine: ControllableEngine) -> None:
    engine.says("<think>\n" + "so " * 3000, chunk=3)
    before = len(engine.requests)
    message = answer(engine.url, thinking=THINKING, max_tokens=1200, **WANTED)
    first, second = engine.requests[before:]
    written = len(second.tokens) - len(first.tokens)
    assert list(first.tokens) == message["input_ids"]
    assert list(second.tokens) == [*message["input_ids"], *message["output_ids"][:written]]
    inserted = [token for logprob, token in message["output_token_logprobs"] if logprob is None]
    assert text_of(engine, inserted) == "\n</think>\n\n"
    assert len(message["output_ids"]) - len(inserted) == message["usage"]["output_tokens"]


@pytest.mark.clause("TOK-2")
def test_a_call_that_is_begun_in_the_prompt_has_its_ids(engine: ControllableEngine) -> None:
    class Unconstrained(ControllableEngine):
        async def start(self) -> Capabilities:
            return replace(await super().start(), constrains=False)

    choice = {"type": "tool", "name": "get_weather"}
    with live_server(engine := Unconstrained(), id=MODEL) as url:
        engine.says('{"place": "Ulm"}}\n</tool_call>')
        message = answer(url, tools=[TOOL], tool_choice=choice, **WANTED)
    [request] = engine.requests
    read = [token for logprob, token in message["output_token_logprobs"] if logprob is None]
    assert list(request.tokens) == [*message["input_ids"], *read]
    assert text_of(engine, message["output_ids"]) == text_of(engine, read) + engine.line.output


@pytest.mark.clause("TOK-5")
def test_ids_in_place_of_messages_give_the_same_answer(turn: ControllableEngine) -> None:
    fields = {"tools": [TOOL], "max_tokens": 2000, **WANTED}
    rendered = answer(turn.url, **fields)
    given = answer(turn.url, messages=[], input_ids=rendered["input_ids"], **fields)
    assert turn.prompts[-1] == turn.prompts[-2]
    assert given["output_ids"] == rendered["output_ids"]
    assert [block["type"] for block in given["content"]] == ["thinking", "text", "tool_use"]
    assert given["usage"] == rendered["usage"]
    counted = post(turn.url, {"model": MODEL, "input_ids": rendered["input_ids"]}, "/v1/messages/count_tokens").json
    assert counted == {"input_tokens": len(rendered["input_ids"])}


def test_many_ids_are_read_in_a_worker_process(turn: ControllableEngine) -> None:
    ids = [token % len(turn.words) for token in range(60_000)]
    message = answer(turn.url, messages=None, input_ids=ids)
    assert (turn.prompts[-1], message["usage"]["input_tokens"]) == (ids, len(ids))


def test_reasoning_that_given_ids_open_goes_on_in_the_answer(engine: ControllableEngine) -> None:
    [opener] = answer(engine.says("<think>", chunk=0), return_token_ids=True)["output_ids"]
    message = answer(engine.says("It rains.\n</think>\n\nYes."), messages=[], input_ids=[opener])
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_ids": [1]}, "input_ids: cannot be used when messages is non-empty"),
        ({"messages": [], "input_ids": []}, "input_ids: must not be an empty list"),
        ({"messages": [], "input_ids": [1], "system": "x"}, "system: cannot be used when input_ids is set"),
        ({"messages": [], "input_ids": [1, 999_999_999]}, "input_ids.1: token ids of this model are 0 to"),
        ({"messages": [], "input_ids": [-1]}, "input_ids.0: Input should be greater than or equal to 0"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"image_data": "x"}, "image_data: not supported by this server"),
        ({"return_routed_experts": True}, "return_routed_experts: not supported by this server"),
    ],
)
def test_requests_that_cannot_be_honoured_are_refused(engine: ControllableEngine, fields: dict[str, Any], message: str) -> None:
    response = post(engine.url, body(**fields))
    assert response.status == HTTPStatus.BAD_REQUEST
    assert response.error[1].startswith(message)


@pytest.mark.clause("TOK-6", "TOK-3")
def test_a_chat_completion_has_the_ids_and_log_probabilities_of_all_tokens(turn: ControllableEngine) -> None:
    fields = {"messages": [user("Hi")], "logprobs": True, "top_logprobs": 3, "return_token_ids": True}
    whole = answer(turn.url, "/v1/chat/completions", **fields)
    [choice] = whole["choices"]
    assert whole["prompt_token_ids"] == turn.prompts[-1]
    assert text_of(turn, choice["token_ids"]) == TURN
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == TURN
    assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == TURN
    assert all(len(entry["top_logprobs"]) == 3 for entry in entries)
    assert all(entry["top_logprobs"][0]["token"] == entry["token"] for entry in entries)
    events = stream(turn.url, "/v1/chat/completions", **fields)
    assert [event.get("prompt_token_ids") for event in events] == [turn.prompts[-1], *[None] * (len(events) - 1)]
    choices = [choice for event in events for choice in event["choices"]]
    assert [token for each in choices for token in each.get("token_ids", ())] == choice["token_ids"]
    assert [entry for each in choices if each["logprobs"] for entry in each["logprobs"]["content"]] == entries


def stream(url: str, path: str, **fields: Any) -> list[dict[str, Any]]:
    content = post(url, {"model": MODEL, "stream": True, **fields}, path).content.decode()
    lines = [line.removeprefix("data: ") for line in content.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_each_choice_of_an_answer_has_its_own_ids(engine: ControllableEngine) -> None:
    engine.says("Hello there.")
    whole = answer(engine.url, "/v1/chat/completions", messages=[user("Hi")], n=2, return_token_ids=True)
    assert [text_of(engine, choice["token_ids"]) for choice in whole["choices"]] == ["Hello there."] * 2


@pytest.mark.clause("TOK-6", "TOK-7")
def test_a_completion_has_them_with_offsets_into_its_text(engine: ControllableEngine) -> None:
    engine.says(" upon a time")
    fields = {"prompt": "Once", "logprobs": 2, "return_token_ids": True, "echo": True}
    [choice] = answer(engine.url, "/v1/completions", **fields)["choices"]
    assert choice["text"] == "Once upon a time"
    assert choice["prompt_token_ids"] == engine.prompts[-1]
    assert text_of(engine, choice["token_ids"]) == " upon a time"
    logprobs = choice["logprobs"]
    assert [choice["text"][start:] for start in logprobs["text_offset"]] == [
        "Once upon a time",
        " upon a time",
        " a time",
        " time",
    ]
    assert logprobs["tokens"] == ["Once", " upon", " a", " time"]
    assert [logprob is None for logprob in logprobs["token_logprobs"]] == [True, False, False, False]
    assert [top and len(top) for top in logprobs["top_logprobs"]] == [None, 2, 2, 2]
    events = [choice for event in stream(engine.url, "/v1/completions", **fields) for choice in event["choices"]]
    assert [token for each in events if each["logprobs"] for token in each["logprobs"]["tokens"]] == logprobs["tokens"]
    assert [offset for each in events if each["logprobs"] for offset in each["logprobs"]["text_offset"]] == logprobs[
        "text_offset"
    ]


@pytest.mark.clause("TOK-7")
def test_a_prompt_of_ids_is_echoed_as_text_and_can_be_scored_alone(engine: ControllableEngine) -> None:
    ids = answer(engine.says("x"), "/v1/completions", prompt="Once upon", return_token_ids=True)["choices"][0][
        "prompt_token_ids"
    ]
    [choice] = answer(engine.url, "/v1/completions", prompt=ids, echo=True, max_tokens=0, logprobs=1)["choices"]
    assert choice["text"] == "Once upon"
    assert choice["logprobs"]["tokens"] == ["Once", " upon"]


@pytest.mark.clause("TOK-6")
def test_a_response_has_the_log_probabilities_of_its_text(turn: ControllableEngine) -> None:
    fields = {"input": "Hi", "store": False, "top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    whole = answer(turn.says("It rains."), "/v1/responses", **fields)
    [part] = whole["output"][0]["content"]
    assert "".join(entry["token"] for entry in part["logprobs"]) == "It rains."
    assert [len(entry["top_logprobs"]) for entry in part["logprobs"]] == [2, 2]
    assert whole["top_logprobs"] == 2
    events = stream(turn.url, "/v1/responses", **fields)
    deltas = [entry for event in events if event["type"] == "response.output_text.delta" for entry in event["logprobs"]]
    assert deltas == part["logprobs"]
    assert answer(turn.url, "/v1/responses", input="Hi", store=False)["output"][0]["content"][0]["logprobs"] == []


class Silent(ControllableEngine):
    """Does not report its tokens."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), token_ids=False, logprobs=False, prompt_logprobs=False)


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    with live_server(Silent(), id=MODEL) as url:
        yield url


@pytest.mark.clause("TOK-8")
@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        ("messages", {"return_token_ids": True}, "return_token_ids"),
        ("messages", {"return_logprob": True}, "return_logprob"),
        ("messages", {"messages": [], "input_ids": [1]}, "input_ids"),
        ("chat/completions", {"return_token_ids": True}, "return_token_ids"),
        ("chat/completions", {"logprobs": True}, "logprobs"),
        ("completions", {"prompt": "x", "logprobs": 1}, "logprobs"),
        ("completions", {"prompt": [0], "echo": True}, "echo"),
        ("responses", {"input": "x", "include": ["message.output_text.logprobs"]}, "include"),
        ("responses", {"input": "x", "top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_an_engine_that_does_not_report_its_tokens_is_named(silent: str, path: str, fields: dict[str, Any], field: str) -> None:
    given = body(**fields) if path in ("messages", "chat/completions") else {"model": MODEL, **fields}
    response = post(silent, given, f"/v1/{path}")
    assert response.status == HTTPStatus.BAD_REQUEST
    assert response.json["error"]["message"].startswith(f"{field}: this server's engine (scripted)")
