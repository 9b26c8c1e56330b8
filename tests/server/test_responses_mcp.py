"""MCP servers in the Responses API, on a live server, with servers of the official package on loopback."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from conftest import MODEL, Serve, live_server
from dragoman import dialects
from dragoman.conversation import ToolCall
from dragoman.engines.scripted import Line
from dragoman.server_tools import ServerToolSettings
from server.http import post
from server.recording_engine import RecordingEngine, common_beginning
from server_tools.mcp_servers import in_thread, official, running

from .test_responses import client, events_of, respond

ON = ServerToolSettings(mcp_hosts=frozenset({"127.0.0.1"}))
QUESTION = {"role": "user", "content": "Weather in Oslo?"}
DONE = "Rain."


def call(*tools: tuple[str, dict[str, Any]]) -> str:
    return dialects.DEFAULT.encode_calls([ToolCall("", f"weather__{tool}", given) for tool, given in tools])


OSLO = call(("forecast", {"city": "Oslo"}))


@pytest.fixture(scope="module")
def weather() -> Iterator[str]:
    with in_thread(running(official())) as url:
        yield url


@pytest.fixture(scope="module")
def never() -> Iterator[str]:
    """A server whose engine is never asked."""
    with live_server(RecordingEngine("never"), server_tools=ON) as url:
        yield url


def declared(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "weather", "server_url": url, "require_approval": "never", **fields}


@pytest.mark.clause("RSP-1", "RSP-2", "RSP-19")
def test_a_tool_of_an_mcp_server_is_called_in_the_response(serve: Serve, weather: str) -> None:
    url = serve(Line("I look. " + OSLO, chunk=3), DONE, server_tools=ON)
    events = events_of(url, tools=[declared(weather, authorization="secret", headers={"X-Team": "secret"})])
    kinds = [event.type.removeprefix("response.") for event in events if event.type != "response.output_text.delta"]
    deltas = [place for place, kind in enumerate(kinds) if kind == "mcp_call_arguments.delta"]
    assert [kind for place, kind in enumerate(kinds) if place not in deltas[1:]] == [
        *("created", "in_progress"),
        *("output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done"),
        *("mcp_call.completed", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = events[-1].response
    listing, _, made, _ = response.output
    assert [tool.name for tool in listing.tools] == ["forecast", "broken", "large", "never"]
    assert listing.tools[0].input_schema["required"] == ["city"]
    assert (made.name, made.server_label, made.arguments, made.output, made.error, made.status) == (
        "forecast",
        "weather",
        '{"city": "Oslo"}',
        "Oslo: rain for 1 days",
        None,
        "completed",
    )
    assert response.output_text.endswith(DONE)
    assert "secret" not in response.to_json()
    with client(url) as sdk:
        assert sdk.responses.retrieve(response.id) == response


@pytest.mark.clause("CACHE-4", "RSP-8", "RSP-19")
@pytest.mark.parametrize("stored", [True, False])
def test_the_prompt_only_grows_and_tools_are_listed_once(weather: str, stored: bool) -> None:
    both = call(("forecast", {"city": "Oslo"}), ("broken", {}))
    engine = RecordingEngine(OSLO, both, DONE, OSLO, "Yes.")
    with live_server(engine, server_tools=ON) as url:
        options: dict[str, Any] = {"tools": [declared(weather)], "reasoning": {"effort": "none"}}
        first = respond(url, input=[QUESTION], **options)
        assert [item.type for item in first.output] == ["mcp_list_tools", *["mcp_call"] * 3, "message"]
        more = {"role": "user", "content": "Really?"}
        again = [more] if stored else [QUESTION, *(item.to_dict() for item in first.output), more]
        later = respond(url, input=again, **options, **({"previous_response_id": first.id} if stored else {}))
        assert [item.type for item in later.output] == ["mcp_call", "message"]
        assert min(common_beginning(one, other) / len(one) for one, other in pairwise(engine.prompts)) > 0.95
        assert engine.texts[-1].count("Tells the weather of a city.") == 1
        assert engine.texts[-1].count("Oslo: rain for 1 days") == 3


@pytest.mark.clause("RSP-19")
@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [("broken", {}, "broken"), ("forecast", {"days": 1}, "does not match")],
)
def test_a_failure_is_a_result(serve: Serve, weather: str, tool: str, arguments: dict[str, Any], reason: str) -> None:
    url = serve(call((tool, arguments)), DONE, server_tools=ON)
    _, made, answer = respond(url, tools=[declared(weather)]).output
    assert (made.status, made.output, made.error.type) == ("failed", None, "mcp_tool_execution_error")
    assert reason in made.error.content[0]["text"]
    assert answer.content[0].text == DONE


@pytest.mark.clause("RSP-5", "RSP-19")
@pytest.mark.parametrize(
    ("fields", "choice", "offered"),
    [
        ({"allowed_tools": ["large"]}, "auto", {"large"}),
        ({"allowed_tools": {"tool_names": ["large"]}}, "auto", {"large"}),
        ({}, {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "weather"}]}, None),
        (
            {},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "weather", "name": "broken"}]},
            {"broken"},
        ),
    ],
)
def test_a_request_chooses_the_tools_of_a_server(
    weather: str, fields: dict[str, Any], choice: Any, offered: set[str] | None
) -> None:
    engine = RecordingEngine(DONE)
    with live_server(engine, server_tools=ON) as url:
        respond(url, tools=[declared(weather, **fields)], tool_choice=choice)
    names = {"forecast", "broken", "large", "never"}
    assert {name for name in names if f"weather__{name}" in engine.texts[0]} == (offered or names)


@pytest.mark.clause("RSP-5", "RSP-19")
def test_a_tool_of_a_server_can_be_forced(serve: Serve, weather: str) -> None:
    url = serve(OSLO, DONE, server_tools=ON)
    choice = {"type": "mcp", "server_label": "weather", "name": "forecast"}
    answer = respond(url, tools=[declared(weather)], tool_choice=choice)
    assert [item.type for item in answer.output] == ["mcp_list_tools", "mcp_call", "message"]
    refused = post(
        url,
        {"model": MODEL, "input": "Hi", "tools": [declared(weather)], "tool_choice": choice | {"name": "nothing"}},
        "/v1/responses",
    )
    assert (refused.status, refused.json["error"]["param"]) == (400, "tool_choice")


@pytest.mark.clause("RSP-3", "RSP-19")
def test_a_call_that_another_server_made_is_read(weather: str) -> None:
    engine = RecordingEngine(DONE)
    made = {"type": "mcp_call", "id": "mcp_682d", "server_label": "weather", "name": "forecast", "arguments": '{"city":"Ulm"}'}
    errors = [{"output": "Fog."}, {"error": "down"}, {"error": {"type": "http_error", "code": 500, "message": "late"}}, {}]
    items = [{**made, "id": f"mcp_{place}", **fields} for place, fields in enumerate(errors)]
    with live_server(engine, server_tools=ON) as url:
        respond(url, input=[QUESTION, *items, {"role": "user", "content": "So?"}], tools=[declared(weather)])
    for text in ("Fog.", "down", "late", "The call has no result."):
        assert text in engine.texts[0]


@pytest.mark.clause("RSP-9", "RSP-19")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"server_url": "http://10.0.0.1/mcp"}, "tools.0.server_url"),
        ({"server_url": None}, "tools.0.server_url"),
        ({"server_url": "http://127.0.0.1:1/mcp"}, "tools.0.server_url"),
        ({"connector_id": "connector_gmail"}, "tools.0.connector_id"),
        ({"require_approval": "always"}, "tools.0.require_approval"),
        ({"require_approval": None}, "tools.0.require_approval"),
        ({"require_approval": {"never": {"tool_names": ["forecast"]}}}, "tools.0.require_approval"),
        ({"allowed_tools": {"read_only": True}}, "tools.0.allowed_tools.read_only"),
        ({"headers": {"Host": "example.com"}}, "tools.0.headers.Host"),
        ({"headers": {"X-A": "a\nb"}}, "tools.0.headers.X-A"),
        ({"headers": {"Authorization": "a"}, "authorization": "b"}, "tools.0.headers.Authorization"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused_by_name(never: str, weather: str, fields: dict[str, Any], param: str) -> None:
    refused = post(never, {"model": MODEL, "input": "Hi", "tools": [declared(weather) | fields]}, "/v1/responses")
    assert (refused.status, refused.json["error"]["param"]) == (400, param)


def test_no_server_is_called_until_the_operator_allows_it(serve: Serve, weather: str) -> None:
    refused = post(serve("never"), {"model": MODEL, "input": "Hi", "tools": [declared(weather)]}, "/v1/responses")
    assert refused.status == 400
    assert "--mcp-host" in refused.json["error"]["message"]
