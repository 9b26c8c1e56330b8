"""`POST /v1/messages` with all engines: the same scripts and the same assertions."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer

from conftest import body, live_server, user
from controllable_engine import until
from dragoman import dialects
from engines.remote.engine_cases import EngineCase, differs
from engines.remote.fake_engine import FIRST_EVENT, MIDDLE, STATUS
from server.http import Answer, count, post, wire

FOX = "🦊".encode()
CALL = '<tool_call>\n{"name": "look", "arguments": {"city": "Ulm"}}\n</tool_call>'
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL = {"name": "look", "input_schema": SCHEMA}


class Server(NamedTuple):
    """A server and its engine's upstream."""

    case: EngineCase
    url: str
    upstream: Any

    def ask(self, **fields: Any) -> Any:
        """The collected message, after a check that the streamed one is the same except for its ids."""
        whole = post(self.url, body(**fields))
        assert whole.status == 200, whole.content
        streamed = post(self.url, body(stream=True, **fields))
        assert [without_id(block) for block in blocks_of(streamed)] == [without_id(block) for block in whole.json["content"]]
        assert streamed.events[-2]["delta"]["stop_reason"] == whole.json["stop_reason"]
        return whole.json


def blocks_of(answer: Answer) -> list[dict[str, Any]]:
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
                ((field, text),) = dict[str, Any](delta).items()
                assert kind.startswith(field.split("_")[0])
                blocks[-1][field] = blocks[-1].get(field, "") + text
            case {"type": "content_block_stop"} if arguments[-1]:
                blocks[-1]["input"] = json.loads(arguments[-1])
    return blocks


def without_id(block: dict[str, Any]) -> dict[str, Any]:
    """A block without its id, which differs each time."""
    return {key: value for key, value in block.items() if key != "id"}


@pytest.fixture(scope="module")
def module_server(case: EngineCase, running: Any) -> Iterator[Server]:
    with live_server(case.connect(running), id="scripted", dialect=dialects.get("qwen3")) as url:
        yield Server(case, url, running)


@pytest.fixture
def server(module_server: Server) -> Iterator[Server]:
    module_server.upstream.reset()
    yield module_server
    module_server.upstream.reset()


def tokens(text: str) -> list[bytes]:
    """The text as tokens of three bytes each, so that characters are split over several; special tokens are whole."""
    pieces = [piece.encode() for piece in re.split("(<tool_call>)", text)]
    return [token for piece in pieces for token in ([piece] if piece == b"<tool_call>" else _threes(piece))]


def _threes(raw: bytes) -> list[bytes]:
    return [raw[at : at + 3] for at in range(0, len(raw), 3)]


def test_text_becomes_a_text_block(server: Server) -> None:
    server.upstream.says(*tokens("The fox 🦊 is wet."))
    message = server.ask()
    assert [(block["type"], block["text"]) for block in message["content"]] == [("text", "The fox 🦊 is wet.")]
    assert message["stop_reason"] == "end_turn"


def test_reasoning_becomes_a_thinking_block(server: Server) -> None:
    server.upstream.says(*tokens("<think>\nIs it wet? 🦊\n</think>\n\nIt is."))
    thinking, text = server.ask()["content"]
    assert (thinking["type"], thinking["thinking"].strip()) == ("thinking", "Is it wet? 🦊")
    assert (text["type"], text["text"]) == ("text", "It is.")


def test_calls_become_tool_use_blocks(server: Server) -> None:
    server.upstream.says(*tokens(f"I look.\n{CALL}\n{CALL}"))
    message = server.ask(tools=[TOOL])
    assert [block["type"] for block in message["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["input"] for block in message["content"][1:]] == [{"city": "Ulm"}] * 2
    assert message["stop_reason"] == "tool_use"


def test_a_forced_call_comes_with_or_without_constraints(server: Server, folder: Path) -> None:
    """Without constraints the opening is in the prompt, and the model continues after it."""
    opening = '<tool_call>\n{"name": "look", "arguments": '
    held = not differs(server.case, "enforces calls")
    server.upstream.says(*tokens(CALL if held else CALL.removeprefix(opening)))
    message = server.ask(tools=[TOOL], tool_choice={"type": "tool", "name": "look"})
    assert [(block["name"], block["input"]) for block in message["content"]] == [("look", {"city": "Ulm"})]
    assert message["stop_reason"] == "tool_use"
    if server.case.name != "scripted":
        prompt = list(server.upstream.received[-1].prompt)
        written = Tokenizer.from_file(str(folder / "tokenizer.json")).decode(prompt, skip_special_tokens=False)
        assert written.endswith(opening) is not held
        assert ("Ulm" in server.upstream.received[-1].constraint or "look" in server.upstream.received[-1].constraint) is held


def test_an_output_format_is_enforced_or_refused(server: Server) -> None:
    server.upstream.says(*tokens('{"city": "Ulm"}'))
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if differs(server.case, "enforces formats"):
        answer = post(server.url, body(output_config=wanted))
        assert answer.status == 400
        assert "cannot hold this answer to a schema" in answer.error[1]
        return
    message = server.ask(output_config=wanted)
    assert json.loads(message["content"][0]["text"]) == {"city": "Ulm"}
    if server.case.name != "scripted":
        assert "city" in server.upstream.received[-1].constraint


def test_a_strict_tool_is_enforced_or_refused(server: Server) -> None:
    server.upstream.says(*tokens(CALL))
    answer = post(server.url, body(tools=[{**TOOL, "strict": True}]))
    if differs(server.case, "enforces calls"):
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
    ids=["the model's", "the limit", "a stop sequence", "a limit of zero"],
)
def test_each_stop_reason_is_reported(
    server: Server, fields: dict[str, Any], text: str | None, ending: tuple[str, Any]
) -> None:
    server.upstream.says(b"one", b" two", b" three")
    message = post(server.url, body(**fields)).json
    assert (message["stop_reason"], message["stop_sequence"]) == ending
    text_so_far = "".join(block["text"] for block in message["content"])
    assert text_so_far == text if text is not None else "one two three".startswith(text_so_far)


@pytest.mark.parametrize("streamed", [True, False])
def test_counted_tokens_equal_the_usage(server: Server, streamed: bool) -> None:
    server.upstream.says(b"one", b" two", b" three", cached=4)
    asked = body(user("How wet is the fox?"))
    answer = post(server.url, {**asked, "stream": streamed})
    usage = answer.events[-2]["usage"] if streamed else answer.json["usage"]
    del asked["max_tokens"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == count(server.url, asked)
    assert usage["cache_read_input_tokens"] == (0 if differs(server.case, "reports cached tokens") else 4)
    assert usage["output_tokens"] == (3 if differs(server.case, "counts tokens") else 4)


def test_the_first_event_has_the_cached_tokens_where_the_engine_reports_them(server: Server) -> None:
    server.upstream.says(b"one", b" two", b" three", cached=4)
    first = post(server.url, body(stream=True)).events[0]
    late = differs(server.case, "reports cached tokens early")
    assert first["message"]["usage"]["cache_read_input_tokens"] == (0 if late else 4)


@pytest.mark.parametrize("phase", [STATUS, FIRST_EVENT, MIDDLE], ids=["before the status", "before the first", "in the middle"])
def test_a_disconnected_client_cancels_the_engine_request(server: Server, phase: int) -> None:
    server.upstream.says(*tokens("one two three four five six"))
    left = server.upstream.disconnects
    server.upstream.hold(phase)
    with wire(server.url) as client:
        client.send(body(stream=True))
        until(lambda: server.upstream.holding == 1)
    until(lambda: server.upstream.disconnects == left + 1)


def test_the_trace_of_the_client_is_sent_to_the_engine(server: Server) -> None:
    if server.case.name == "scripted":
        return
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
    assert post(server.url, body(), **trace).status == 200
    assert {name: server.upstream.headers[-1].get(name) for name in trace} == trace


def test_a_conversations_affinity_is_sent_to_routers(server: Server) -> None:
    """A digest of the client's session id: the same for all requests of a conversation, absent where the client sends none."""
    if server.case.name == "scripted":
        return
    session = "b1946ac9-2490-4d23-87d2-fba6fd88d16c"
    for named in ({}, {}, {"x_claude_code_agent_id": "a1"}):
        post(server.url, body(), x_claude_code_session_id=session, **named)
    post(server.url, body())
    main, again, agent, unnamed = [
        (headers.get("x-session-id"), headers.get("x-smg-routing-key")) for headers in server.upstream.headers
    ]
    assert unnamed == (None, None)
    assert main == again != agent
    assert main[0] == main[1]
    assert session not in str(server.upstream.headers)


def test_a_loading_engine_gives_an_overloaded_error(server: Server) -> None:
    server.upstream.says(fault="loads")
    answer = post(server.url, body(stream=True))
    assert (answer.status, answer.error[0]) == (529, "overloaded_error")
    assert answer.headers["retry-after"]


def test_a_refusal_by_the_engine_is_an_error_before_the_stream(server: Server) -> None:
    server.upstream.says(b"one", fault="refuses")
    answer = post(server.url, body(stream=True))
    if differs(server.case, "refuses"):
        assert answer.status == 200
        return
    assert answer.status == 500
    kind, message = answer.error
    assert kind == "api_error"
    assert server.upstream.messages["refuses"] in message


@pytest.mark.parametrize("fault", ["fails midway", "breaks off"])
def test_a_failure_in_the_stream_is_the_last_event(server: Server, fault: Any) -> None:
    server.upstream.says(*tokens("one two three four five six"), fault=fault)
    events = post(server.url, body(stream=True)).events
    if fault == "breaks off" and differs(server.case, "breaks off"):
        assert events[-1]["type"] == "message_stop"
        return
    assert [event["type"] for event in events[:2]] == ["message_start", "content_block_start"]
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert {"breaks off": "closed the connection", **server.upstream.messages}[fault] in events[-1]["error"]["message"]
