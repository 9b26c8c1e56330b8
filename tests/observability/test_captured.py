"""Captured files: what they contain, and what is removed."""

import json
from pathlib import Path

import pytest

from dragoman.observability import BadCapture, CapturedExchange
from dragoman.observability.captured import CapturedRequest, CapturedResponse
from dragoman.observability.kept import kept_body, kept_headers, kept_target

DEVICE, ACCOUNT, SESSION = "9f" * 32, "0a1b2c3d-0000-4000-8000-aabbccddeeff", "11112222-3333-4444-5555-666677778888"
MODERN = json.dumps({"device_id": DEVICE, "account_uuid": ACCOUNT, "session_id": SESSION})
OLD = f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}"


def request_body(user: object, text: str = "Hi") -> str:
    return json.dumps({"messages": [{"role": "user", "content": text}], "metadata": {"user_id": user}, "max_tokens": 1})


@pytest.mark.parametrize("user", [MODERN, OLD])
def test_device_and_account_are_masked_and_the_session_is_kept(user: str) -> None:
    body, removed = kept_body(request_body(user))
    assert removed == ["metadata.user_id"]
    assert DEVICE not in body
    assert ACCOUNT not in body
    assert SESSION in body
    assert json.loads(body)["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_user_id_of_an_unknown_form_is_masked() -> None:
    body, _ = kept_body(request_body("Ann.Müller@example.org"))
    assert json.loads(body)["metadata"] == {"user_id": "000.000000@0000000.000"}


def test_fields_of_the_api_are_kept_unchanged() -> None:
    strange = (
        '{ "max_tokens":1,\n\t"messages" : [{"role":"user","content":"\\u00e9 \\"user_id\\": \\"x\\""}],  "stream":true }  '
    )
    assert kept_body(strange) == (strange, [])


def test_a_tool_may_be_called_with_a_user_id() -> None:
    call = {"type": "tool_use", "id": "a", "name": "t", "input": {"user_id": "bob", "device_id": "x"}}
    body = json.dumps({"messages": [{"role": "assistant", "content": [call]}], "metadata": {"user_id": "ann"}})
    kept, removed = kept_body(body)
    assert json.loads(kept) == json.loads(body.replace('"ann"', '"000"'))
    assert removed == ["metadata.user_id"]


def test_the_conversation_of_the_responses_api_is_kept_and_its_user_is_not() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "data:x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "dgm1.x"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"user": "x"}', "namespace": "n"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "ok"}]},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "-a"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
    ]
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    kept = {
        "model": "m",
        "instructions": "Be brief.",
        "input": items,
        "tools": [{"type": "namespace", "name": "n", "tools": [function]}, {"type": "custom", "name": "g", "format": {"x": 1}}],
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "previous_response_id": "resp_1",
    }
    assert kept_body(json.dumps(kept)) == (json.dumps(kept), [])
    assert kept_body(json.dumps({**kept, "input": "Hi"}))[1] == []
    secrets = {"user": "ann", "safety_identifier": "ann", "prompt_cache_key": "s", "client_metadata": {"id": "s"}}
    body, removed = kept_body(json.dumps({**kept, **secrets, "metadata": {"who": "ann"}}))
    assert removed == ["client_metadata", "metadata.who", "prompt_cache_key", "safety_identifier", "user"]
    assert "ann" not in body


def test_the_settings_of_a_chat_completion_are_kept() -> None:
    kept = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
        "function_call": {"name": "f"},
        "repetition_penalty": 1.1,
        "enable_thinking": False,
        "logit_bias": {"5": 1},
    }
    assert kept_body(json.dumps(kept)) == (json.dumps(kept), [])


def test_all_strings_of_a_body_that_is_not_json_are_masked() -> None:
    assert kept_body('{"metadata": {"user_id": "ann"}, "x": {"token": "b-1')[0] == (
        '{"00000000": {"0000_00": "000"}, "0": {"00000": "0-0'
    )


@pytest.mark.parametrize(
    ("secret", "path"),
    [
        ({"mcp_servers": [{"type": "url", "name": "a", "url": "https://x?t=s3cret"}]}, "mcp_servers.url"),
        ({"mcp_servers": [{"name": "a", "authorization_token": "s3cret"}]}, "mcp_servers.authorization_token"),
        ({"mcp_servers": [{"name": "a", "oauth": {"access": ["s3cret"]}}]}, "mcp_servers.oauth"),
        ({"metadata": {"device": {"id": "s3cret"}}}, "metadata.device"),
        ({"device_id": "s3cret"}, "device_id"),
        ({"user": "s3cret"}, "user"),
        ({"messages": [{"role": "user", "content": "Hi", "client": {"s3cret": 1}}]}, "messages.client"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "x": "s3cret"}]}]}, "messages.content.x"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "k": "s3cret"}]}]}
                ]
            },
            "messages.content.content.k",
        ),
        ({"metadata": "s3cret"}, "metadata"),
        ({"metadata": ["s3cret"]}, "metadata"),
        ({"metadata": {"user_id": {"s3cret": 1}}}, "metadata.user_id"),
        ({"mcp_servers": ["s3cret"]}, "mcp_servers"),
        ({"mcp_servers": "s3cret"}, "mcp_servers"),
        ({"mcp_servers": [[{"name": {"token": "s3cret"}}]]}, "mcp_servers.name.token"),
        ({"mcp_servers": [{"tool_configuration": {"enabled": True, "x": "s3cret"}}]}, "mcp_servers.tool_configuration.x"),
        ({"thread": "s3cret"}, "thread"),
        ({"thread": {"type": {"id": "s3cret"}}}, "thread.type.id"),
        ({"messages": ["s3cret"]}, "messages"),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": ["s3cret"]}]}, "messages.tool_calls"),
        ({"messages": [{"role": "assistant", "content": "Hi", "function_call": "s3cret"}]}, "messages.function_call"),
        ({"tools": ["s3cret"]}, "tools"),
        ({"tools": [{"type": "function", "function": "s3cret"}]}, "tools.function"),
        ({"tools": [{"name": "t", "input_schema": {}, "headers": {"authorization": "s3cret"}}]}, "tools.headers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_field_that_is_not_listed_is_removed(secret: dict[str, object], path: str) -> None:
    kept, removed = kept_body(json.dumps({"model": "m", **secret}))
    assert "s3cret" not in kept
    assert removed == [path]
    assert json.loads(kept)["model"] == "m"


@pytest.mark.parametrize("body", ['"s3cret"', '["s3cret"]', '[{"user": "s3cret"}]', '[["s3cret"]]'])
def test_a_body_that_is_not_an_object_is_not_kept(body: str) -> None:
    kept, removed = kept_body(body)
    assert "s3cret" not in kept
    assert len(removed) == 1


def test_numbers_in_place_of_objects_are_removed() -> None:
    assert kept_body("4071") == ('"(not kept: number, 4 bytes)"', ["(body)"])
    assert kept_body('{"metadata":4071,"messages":[{"content":4071}]}')[1] == ["messages.content", "metadata"]


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "Be brief.", "messages": [{"role": "user", "content": ["a", {"type": "text", "text": "b"}]}]},
        {"prompt": ["one", [1, 2]], "stop": ["x"], "suffix": "y"},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": [{"role": "assistant", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "done"}]}]},
        {"mcp_servers": [{"type": "url", "name": "a", "tool_configuration": {"enabled": True, "allowed_tools": ["b"]}}]},
        {"thread": {"type": "auto"}},
    ],
)
def test_text_is_kept_where_it_is_allowed(fields: dict[str, object]) -> None:
    assert kept_body(json.dumps(fields)) == (json.dumps(fields), [])


def test_every_part_of_a_user_id_but_the_session_is_masked() -> None:
    user = json.dumps({"device": {"ids": ["9f9f", "s3cret"]}, "s3cret": "x", "session_id": SESSION, "n": 987})
    kept, _ = kept_body(request_body(user))
    assert SESSION in kept
    assert not any(part in kept for part in ("9f9f", "s3cret", "987"))


@pytest.mark.parametrize("body", ["", "[]", "null", '{"metadata": null, "mcp_servers": [{}]}', '{"max_tokens": 7}', "{\xff"])
def test_bodies_without_secrets_are_unchanged(body: str) -> None:
    assert kept_body(body) == (body, [])


def test_an_incomplete_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        EXCHANGE.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_listed_headers_are_kept() -> None:
    kept, removed = kept_headers(
        [
            ("host", "example.org"),
            ("authorization", "Bearer s3cret"),
            ("x-api-key", "s3cret"),
            ("proxy-authorization", "Basic s3cret"),
            ("cookie", "s3cret=1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("content-type", "application/json"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
            ("user-agent", "claude-cli/2.1"),
            ("x-claude-code-session-id", SESSION),
            ("x-stainless-lang", "js"),
        ]
    )
    assert kept == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a, b",
        "user-agent": "claude-cli/2.1",
        "x-claude-code-session-id": SESSION,
        "x-stainless-lang": "js",
    }
    assert removed == ["host", "authorization", "x-api-key", "proxy-authorization", "cookie", "x-forwarded-for"]


def test_only_query_parameters_of_the_api_are_kept() -> None:
    assert kept_target("/v1/messages", "beta=true&api_key=s3cret") == "/v1/messages?beta=true"
    assert kept_target("/v1/models/a b", "") == "/v1/models/a%20b"


EXCHANGE = CapturedExchange(
    request_id="req_1",
    began="2026-11-22T23:44:35.123Z",
    request=CapturedRequest("POST", "/v1/messages", {"content-type": "application/json"}, "{\xff", "latin-1"),
    response=CapturedResponse(200, {"request-id": "req_1"}, ((0.1, "event: ping\n"), (0.2, "data: é\n\n"))),
    removed=("x-api-key",),
)


def test_a_file_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    EXCHANGE.write(folder)
    (path,) = folder.iterdir()
    assert path.name == "20261122T234435.123Z-req_1.json"
    assert CapturedExchange.read(path) == EXCHANGE
    assert EXCHANGE.request.content == b"{\xff"
    assert EXCHANGE.response.content == "event: ping\ndata: é\n\n".encode()
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_error_names_a_file_that_is_not_an_exchange(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BadCapture, match=r"x\.json"):
        CapturedExchange.read(path)
