"""One surface, all engines: the same scripts and the same assertions through `POST /v1/messages`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer

from conftest import body, live_server, user
from controllable_engine import until
from dragoman import dialects
from dragoman.server import Settings
from engines_remote.rows import Row, differs
from engines_remote.upstream import FIRST_EVENT, MIDDLE, STATUS
from server.http import Answer, count, post, wire

FOX = "🦊".encode()
CALL = '<tool_call>\n{"name": "look", "arguments": {"city": "Ulm"}}\n</tool_call>'
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL = {"name": "look", "input_schema": SCHEMA}


class House(NamedTuple):
    """A server, and what stands behind its engine."""

    row: Row
    url: str
    upstream: Any

    def ask(self, **fields: Any) -> Any:
        """The message, collected; streamed and not it is the same but for its ids."""
        whole = post(self.url, body(**fields))
        assert whole.status == 200, whole.content
        streamed = post(self.url, body(stream=True, **fields))
        assert [shape(block) for block in folded(streamed)] == [shape(block) for block in whole.json["content"]]
        assert streamed.events[-2]["delta"]["stop_reason"] == whole.json["stop_reason"]
        return whole.json


def folded(answer: Answer) -> list[dict[str, Any]]:
    """The blocks of a stream."""
    blocks: list[dict[str, Any]] = []
    arguments: list[str] = []
    for event in answer.events:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                blocks.append(dict(block))
                arguments.append("")
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text}}:
                arguments[-1] += text
            case {"type": "content_block_delta", "delta": {"type": kind, **delta}}:
                ((field, text),) = delta.items()
                assert kind.startswith(field.split("_")[0])
                blocks[-1][field] = blocks[-1].get(field, "") + text
            case {"type": "content_block_stop"} if arguments[-1]:
                blocks[-1]["input"] = json.loads(arguments[-1])
    return blocks


def shape(block: dict[str, Any]) -> dict[str, Any]:
    """A block without what is made anew each time."""
    return {key: value for key, value in block.items() if key != "id"}


@pytest.fixture(scope="module")
def built(row: Row, running: Any) -> Iterator[House]:
    settings = Settings(model_id="scripted", dialect=dialects.get("qwen3"))
    with live_server(row.connect(running), settings) as url:
        yield House(row, url, running)


@pytest.fixture
def house(built: House) -> Iterator[House]:
    built.upstream.reset()
    yield built
    built.upstream.reset()


def tokens(text: str) -> list[bytes]:
    """As tokens of three bytes each, so that marks and characters are split over several."""
    raw = text.encode()
    return [raw[at : at + 3] for at in range(0, len(raw), 3)]


def test_text_is_text(house: House):
    house.upstream.says(*tokens("The fox 🦊 is wet."))
    message = house.ask()
    assert [(block["type"], block["text"]) for block in message["content"]] == [("text", "The fox 🦊 is wet.")]
    assert message["stop_reason"] == "end_turn"


def test_reasoning_is_thinking(house: House):
    house.upstream.says(*tokens("<think>\nIs it wet? 🦊\n</think>\n\nIt is."))
    thinking, text = house.ask()["content"]
    assert (thinking["type"], thinking["thinking"].strip()) == ("thinking", "Is it wet? 🦊")
    assert (text["type"], text["text"]) == ("text", "It is.")


def test_calls_are_calls(house: House):
    house.upstream.says(*tokens(f"I look.\n{CALL}\n{CALL}"))
    message = house.ask(tools=[TOOL])
    assert [block["type"] for block in message["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["input"] for block in message["content"][1:]] == [{"city": "Ulm"}] * 2
    assert message["stop_reason"] == "tool_use"


def test_a_forced_call_is_one_whether_the_engine_holds_it_or_not(house: House, folder: Path):
    """Where it does not, the opening stands in the prompt, and the model goes on behind it."""
    opening = '<tool_call>\n{"name": "look", "arguments": '
    held = not differs(house.row, "holds calls")
    house.upstream.says(*tokens(CALL if held else CALL.removeprefix(opening)))
    message = house.ask(tools=[TOOL], tool_choice={"type": "tool", "name": "look"})
    assert [(block["name"], block["input"]) for block in message["content"]] == [("look", {"city": "Ulm"})]
    assert message["stop_reason"] == "tool_use"
    if house.row.name != "scripted":
        prompt = list(house.upstream.asked[-1].prompt)
        written = Tokenizer.from_file(str(folder / "tokenizer.json")).decode(prompt, skip_special_tokens=False)
        assert written.endswith(opening) is not held
        assert ("Ulm" in house.upstream.asked[-1].held or "look" in house.upstream.asked[-1].held) is held


def test_an_answer_by_a_schema_is_held_or_refused(house: House):
    house.upstream.says(*tokens('{"city": "Ulm"}'))
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if differs(house.row, "holds formats"):
        answer = post(house.url, body(output_config=wanted))
        assert answer.status == 400
        assert "cannot hold this answer to a schema" in answer.error[1]
        return
    message = house.ask(output_config=wanted)
    assert json.loads(message["content"][0]["text"]) == {"city": "Ulm"}
    if house.row.name != "scripted":
        assert "city" in house.upstream.asked[-1].held


def test_a_strict_tool_is_held_or_refused(house: House):
    house.upstream.says(*tokens(CALL))
    answer = post(house.url, body(tools=[{**TOOL, "strict": True}]))
    if differs(house.row, "holds calls"):
        assert answer.status == 400
        assert "cannot hold calls of look to its schema" in answer.error[1]
    else:
        assert answer.json["content"][0]["input"] == {"city": "Ulm"}


@pytest.mark.parametrize(
    ("fields", "text", "ending"),
    [
        ({}, "one two three", ("end_turn", None)),
        ({"max_tokens": 2}, None, ("max_tokens", None)),
        ({"stop_sequences": ["thr"]}, "one two ", ("stop_sequence", "thr")),
        ({"max_tokens": 0}, "", ("max_tokens", None)),
    ],
    ids=["the model's", "the limit", "a stop sequence", "no room at all"],
)
def test_each_ending_is_told_as_what_it_was(house: House, fields: dict[str, Any], text: str | None, ending: tuple[str, Any]):
    house.upstream.says(b"one", b" two", b" three")
    message = post(house.url, body(**fields)).json
    assert (message["stop_reason"], message["stop_sequence"]) == ending
    said = "".join(block["text"] for block in message["content"])
    assert said == text if text is not None else "one two three".startswith(said)


@pytest.mark.parametrize("streamed", [True, False])
def test_what_is_counted_before_is_what_is_counted_after(house: House, streamed: bool):
    house.upstream.says(b"one", b" two", b" three", cached=4)
    asked = body(user("How wet is the fox?"))
    answer = post(house.url, {**asked, "stream": streamed})
    usage = answer.events[-2]["usage"] if streamed else answer.json["usage"]
    del asked["max_tokens"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == count(house.url, asked)
    assert usage["cache_read_input_tokens"] == (0 if differs(house.row, "tells what was cached") else 4)
    assert usage["output_tokens"] == (3 if differs(house.row, "counts tokens") else 4)


def test_the_first_event_knows_what_was_cached_where_the_engine_does(house: House):
    house.upstream.says(b"one", b" two", b" three", cached=4)
    first = post(house.url, body(stream=True)).events[0]
    late = differs(house.row, "tells early what was cached")
    assert first["message"]["usage"]["cache_read_input_tokens"] == (0 if late else 4)


@pytest.mark.parametrize("phase", [STATUS, FIRST_EVENT, MIDDLE], ids=["before the status", "before the first", "in the middle"])
def test_a_client_that_goes_ends_the_engines_work(house: House, phase: int):
    house.upstream.says(*tokens("one two three four five six"))
    left = house.upstream.left
    house.upstream.hold(phase)
    with wire(house.url) as client:
        client.send(body(stream=True))
        until(lambda: house.upstream.holding == 1)
    until(lambda: house.upstream.left == left + 1)


def test_a_conversation_is_named_to_whatever_router_stands_there(house: House):
    """By a digest of what the client calls it: the same for all of its turns, and nothing where nobody names it."""
    if house.row.name == "scripted":
        return
    session = "b1946ac9-2490-4d23-87d2-fba6fd88d16c"
    for named in ({}, {}, {"x_claude_code_agent_id": "a1"}):
        post(house.url, body(), x_claude_code_session_id=session, **named)
    post(house.url, body())
    main, again, agent, nobody = [
        (headers.get("x-session-id"), headers.get("x-smg-routing-key")) for headers in house.upstream.headers
    ]
    assert nobody == (None, None)
    assert main == again != agent
    assert main[0] == main[1]
    assert session not in str(house.upstream.headers)


def test_an_engine_that_loads_asks_for_patience(house: House):
    house.upstream.says(fault="loads")
    answer = post(house.url, body(stream=True))
    assert (answer.status, answer.error[0]) == (529, "overloaded_error")
    assert answer.headers["retry-after"]


def test_a_refusal_of_the_engine_is_an_error_before_the_stream(house: House):
    house.upstream.says(b"one", fault="refuses")
    answer = post(house.url, body(stream=True))
    if differs(house.row, "refuses"):
        assert answer.status == 200
        return
    assert answer.status == 500
    kind, message = answer.error
    assert kind == "api_error"
    assert "this is too long" in message


@pytest.mark.parametrize(("fault", "told"), [("fails midway", "fail"), ("breaks off", "closed the connection")])
def test_a_failure_in_the_stream_is_an_error_event_and_the_last(house: House, fault: Any, told: str):
    house.upstream.says(*tokens("one two three four five six"), fault=fault)
    events = post(house.url, body(stream=True)).events
    if fault == "breaks off" and differs(house.row, "breaks off"):
        assert events[-1]["type"] == "message_stop"
        return
    assert [event["type"] for event in events[:2]] == ["message_start", "content_block_start"]
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert told in events[-1]["error"]["message"]
