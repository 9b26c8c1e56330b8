"""`GET /api/requests…`: the last requests, what is kept of them, and who may see it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from conftest import Serve, body, live_registry, live_server, registry_of, user
from controllable_engine import FIRST_TOKEN, PREFILL, ControllableEngine, until
from dragoman.observability import CapturedExchange
from dragoman.observability.recent import Inspect
from dragoman.server import create_app
from dragoman.server.access.auth import Keyring
from server.http import get, post

WEATHER = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALL = (
    '<think>\nHmm.\n</think>\n\nOne moment.<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
)
SECRET = "sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaa"


def requests(url: str, **headers: str) -> list[dict[str, Any]]:
    return get(url, "/api/requests", **headers).json["requests"]


def newest(url: str, part: str = "", **headers: str) -> Any:
    return get(url, f"/api/requests/{requests(url, **headers)[0]['entry']['request_id']}{part}", **headers).json


@pytest.fixture(scope="module")
def kept() -> Iterator[ControllableEngine]:
    engine = ControllableEngine(window=50_000)
    with live_server(engine, inspect=Inspect.FULL, dialect=None) as engine.url:
        yield engine


def test_the_list_has_the_fields_of_the_log_line_newest_first(kept: ControllableEngine) -> None:
    post(kept.url, body(), user_agent="first")
    post(kept.url, {"model": "scripted"}, user_agent="second")
    until(lambda: requests(kept.url)[0]["phase"] == "over")
    answer = get(kept.url, "/api/requests").json
    assert answer["inspect"] == "full"
    assert answer["models"]["models"][0]["window"] == 50_000
    refused, answered = answer["requests"][:2]
    assert refused["entry"]["client"] == "second"
    assert refused["entry"]["status"] == 400
    assert refused["entry"]["error"] == "invalid_request_error"
    assert answered["phase"] == "over"
    assert answered["entry"]["client"] == "first"
    assert answered["entry"]["ending"] == "end_turn"
    assert answered["entry"]["tokens"]["output"] == 2


def test_counting_and_other_paths_are_not_kept(kept: ControllableEngine) -> None:
    before = len(requests(kept.url))
    post(kept.url, {"model": "scripted", "messages": [user("Hi")]}, "/v1/messages/count_tokens")
    get(kept.url, "/v1/models")
    assert len(requests(kept.url)) == before


def test_a_running_request_has_its_phase(kept: ControllableEngine) -> None:
    with ThreadPoolExecutor() as threads:
        for held, phase in ((PREFILL, "prefill"), (FIRST_TOKEN, "decode")):
            kept.hold(before=held)
            running = threads.submit(post, kept.url, body(user(f"Run until {held}")))
            until(lambda: kept.waiting == 1)
            assert requests(kept.url)[0]["phase"] == phase
            kept.release()
            assert running.result().status == 200
            until(lambda: requests(kept.url)[0]["phase"] == "over")


def test_the_content_has_the_prompt_by_segments_and_the_answer_by_parts(kept: ControllableEngine) -> None:
    kept.says(CALL)
    post(kept.url, body(user("Weather?"), tools=[WEATHER], thinking={"type": "adaptive"}))
    kept.reset()
    content = newest(kept.url)
    segments = content["prompt"]["segments"]
    assert "Weather?" in "".join(segment["text"] for segment in segments)
    assert sum(segment["tokens"] for segment in segments) == content["prompt"]["tokens"]
    [answer] = content["answers"]
    assert answer["written"] == CALL
    assert [(part["kind"], part["text"]) for part in answer["parts"]][-1] == ("call", '{"city": "Paris"}')
    assert answer["parts"][-1]["name"] == "get_weather"
    times = [event[0] for event in answer["events"]]
    assert times == sorted(times)
    kinds = [event[1] for event in answer["events"]]
    assert (kinds[0], kinds[-1]) == ("prefill", "end")


def test_the_content_of_a_forced_call_has_its_constraint(kept: ControllableEngine) -> None:
    kept.says('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>')
    post(kept.url, body(user("Weather?"), tools=[WEATHER], tool_choice={"type": "any"}))
    kept.reset()
    assert "get_weather" in newest(kept.url)["answers"][0]["constraint"]
    post(kept.url, body())
    assert newest(kept.url)["answers"][0]["constraint"] is None


def test_a_prompt_is_shown_with_the_one_before_it(kept: ControllableEngine) -> None:
    post(kept.url, body(user("A question of its own"), system="One."))
    assert newest(kept.url)["prompt"]["before"] is None
    post(kept.url, body(user("A question of its own"), system="Two."))
    content = newest(kept.url)
    assert "One." in content["prompt"]["before"]
    assert "system block 1" in content["summary"]["entry"]["diverged"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/completions"])
def test_every_format_is_kept_with_its_body(kept: ControllableEngine, path: str) -> None:
    content = {"messages": [user("Hi")], "max_tokens": 9} if "messages" in path or "chat" in path else {}
    content |= {"input": "Hi"} if "responses" in path else {"prompt": "Hi"} if path == "/v1/completions" else {}
    sending = {"model": "scripted", **content}
    assert post(kept.url, sending, path).status == 200
    shown = newest(kept.url)
    assert shown["target"] == path
    assert "".join(part["text"] for part in shown["answers"][0]["parts"]) == "Hello there."
    assert newest(kept.url, "/body") == sending


def test_the_prompt_of_a_model_that_is_not_loaded_is_one_segment(serve: Serve) -> None:
    url = serve(inspect=Inspect.FULL)
    post(url, body(user("Unloaded?")))
    assert post(url, None, "/api/models/scripted/stop").json["state"] == "unloaded"
    [segment] = newest(url)["prompt"]["segments"]
    assert "Unloaded?" in segment["text"]
    assert (segment["tokens"], segment["reused"]) == (None, None)


def test_a_request_that_is_not_kept_is_a_404(kept: ControllableEngine) -> None:
    for path in ("/missing", "/missing/body", "/missing/report", "/missing/other"):
        assert get(kept.url, f"/api/requests{path}").status == 404


def test_headers_with_secrets_are_not_kept(kept: ControllableEngine) -> None:
    post(kept.url, body(), authorization=f"Bearer {SECRET}", x_custom="private")
    content = get(kept.url, f"/api/requests/{requests(kept.url)[0]['entry']['request_id']}").content.decode()
    assert SECRET not in content
    assert "private" not in content
    assert {"authorization", "x-custom"} <= set(json.loads(content)["removed"])


def test_a_report_has_no_secrets_and_can_be_replayed(kept: ControllableEngine, tmp_path: Path) -> None:
    kept.says(f"The key is {SECRET}.")
    private = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
    text = f"My key: {SECRET}\nexport DB_PASSWORD=hunter2hunter2 \n{private}"
    post(kept.url, body(user(text), metadata={"user_id": "someone"}))
    kept.reset()
    answer = get(kept.url, f"/api/requests/{requests(kept.url)[0]['entry']['request_id']}/report")
    assert "attachment" in answer.headers["content-disposition"]
    for secret in (SECRET, "hunter2", "MIIE", "someone"):
        assert secret not in answer.content.decode()
    file = tmp_path / "report.json"
    file.write_bytes(answer.content)
    exchange = CapturedExchange.read(file)
    assert json.loads(exchange.request.content)["messages"][0]["content"].startswith("My key: [removed: API key]")
    assert post(kept.url, json.loads(exchange.request.content)).status == 200


def test_the_report_of_a_large_request_is_made_in_a_worker_process(kept: ControllableEngine) -> None:
    post(kept.url, body(user(f"{SECRET} {'x y ' * 50_000}")))
    answer = get(kept.url, f"/api/requests/{requests(kept.url)[0]['entry']['request_id']}/report")
    assert len(answer.content) > 200_000
    assert SECRET not in answer.content.decode()


def test_the_stream_sends_an_overview_and_then_what_changes(kept: ControllableEngine) -> None:
    with stream(kept.url) as events:
        name, overview = next(events)
        assert name == "overview"
        post(kept.url, body(user("Streamed?"), max_tokens=7))
        over = next(data for name, data in events if name == "request" and data["phase"] == "over")
        assert over["entry"]["ending"] == "end_turn"
        assert over["entry"]["request_id"] not in {request["entry"]["request_id"] for request in overview["requests"]}


def test_an_open_stream_does_not_delay_the_end_of_the_server() -> None:
    with ExitStack() as stack:
        with live_server(ControllableEngine()) as url:
            events = stack.enter_context(stream(url))
            next(events)
        assert [name for name, _ in events if name == "overview"] == []  # it ends


def test_metadata_mode_keeps_no_content(serve: Serve) -> None:
    url = serve(inspect=Inspect.METADATA)
    post(url, body())
    [request] = requests(url)
    assert request["has_content"] is False
    answer = get(url, f"/api/requests/{request['entry']['request_id']}")
    assert answer.status == 404
    assert "--inspect full" in answer.error[1]


def test_off_keeps_nothing(serve: Serve) -> None:
    url = serve(inspect=Inspect.OFF)
    post(url, body())
    assert get(url, "/api/requests").json["requests"] == []
    assert get(url, "/api/requests").json["inspect"] == "off"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.com"},
        {"origin": "http://localhost:3000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_pages_of_other_origins_see_no_requests(kept: ControllableEngine, headers: dict[str, str]) -> None:
    for path in ("", "/stream", "/x", "/x/body", "/x/report"):
        assert get(kept.url, f"/api/requests{path}", **headers).status == 403


def test_requests_need_the_key(serve: Serve) -> None:
    url = serve(api_key="right", inspect=Inspect.FULL)
    post(url, body(), x_api_key="right")
    post(url, body(), x_api_key="wrong")
    for path in ("", "/stream", "/x", "/x/body", "/x/report"):
        assert get(url, f"/api/requests{path}").status == 401
    assert len(requests(url, x_api_key="right")) == 1
    assert newest(url, x_api_key="right")["target"] == "/v1/messages"


def test_a_key_sees_its_own_requests_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[ann]\nkey = "a"\n[bob]\nkey = "b"\n[admin]\nkey = "c"\ninspects_all = true\n')
    registry = registry_of(ControllableEngine(), inspect=Inspect.FULL)
    with live_registry(registry, create_app(registry, keyring=Keyring.read(file))) as url:
        post(url, body(), x_api_key="a")
        [request] = requests(url, x_api_key="a")
        path = f"/api/requests/{request['entry']['request_id']}"
        assert requests(url, x_api_key="b") == []
        assert [get(url, path, x_api_key=key).status for key in "abc"] == [200, 404, 200]


def test_nothing_of_these_requests_is_logged(kept: ControllableEngine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="dragoman"):
        get(kept.url, "/api/requests")
        get(kept.url, "/api/requests/x")
    assert caplog.text == ""


@contextmanager
def stream(url: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """The events of the stream, by name."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/api/requests/stream")
    response = connection.getresponse()

    def events() -> Iterator[tuple[str, Any]]:
        name = ""
        for line in response:
            if line.startswith(b"event: "):
                name = line.decode().removeprefix("event: ").strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line.removeprefix(b"data: "))

    try:
        yield events()
    finally:
        response.close()
        connection.close()
