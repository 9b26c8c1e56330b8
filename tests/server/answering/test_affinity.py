"""Requests of one conversation get the same affinity key."""

import json
from typing import Any

import pytest
from starlette.datastructures import Headers

from conftest import body, user
from controllable_engine import ControllableEngine
from dragoman.server.answering.affinity import affinity
from server.http import post

SESSION = "b1946ac9-2490-4d23-87d2-fba6fd88d16c"


def named(headers: dict[str, str] | None = None, **fields: object) -> str | None:
    return affinity(Headers(headers), **fields)


def test_a_request_without_identifiers_has_no_key() -> None:
    assert named(user_id=None) is None
    assert named({"x-session-id": ""}, prompt_cache_key="", user={"name": "an object"}) is None


def test_the_key_is_a_digest() -> None:
    name = named({"x-session-id": "jürgen@example.org\t1"})
    assert name is not None
    assert len(name) == 16
    assert set(name) <= set("0123456789abcdef")


def test_a_sub_agent_has_its_own_key() -> None:
    session = {"x-claude-code-session-id": SESSION}
    agents = [named({**session, **more}) for more in ({}, {"x-claude-code-agent-id": "a"}, {"x-claude-code-agent-id": "b"})]
    assert len(set(agents)) == 3
    assert named(session) == agents[0]


def test_the_most_specific_identifier_counts() -> None:
    session = {"x-claude-code-session-id": SESSION}
    assert named({**session, "x-session-id": "of a proxy"}) == named(session)
    assert named(session, user_id="a-user") == named(session)
    assert named(prompt_cache_key="thread", user="a-user") == named(prompt_cache_key="thread")
    assert named(prompt_cache_key="a-user") != named(user="a-user")


def user_id(session: str) -> dict[str, Any]:
    return {"metadata": {"user_id": json.dumps({"device_id": "0", "account_uuid": "", "session_id": session})}}


@pytest.mark.parametrize(
    ("path", "one", "another"),
    [
        ("/v1/messages", user_id("1"), user_id("2")),
        ("/v1/messages", {"x_session_id": "1"}, {"x_session_id": "2"}),
        ("/v1/chat/completions", {"prompt_cache_key": "1", "user": "u"}, {"prompt_cache_key": "2", "user": "u"}),
        ("/v1/chat/completions", {"user": "1"}, {"user": "2"}),
        ("/v1/responses", {"prompt_cache_key": "1", "input": "Hi"}, {"prompt_cache_key": "2", "input": "Hi"}),
        ("/v1/responses", {"safety_identifier": "1", "input": "Hi"}, {"safety_identifier": "2", "input": "Hi"}),
        ("/v1/completions", {"prompt_cache_key": "1", "prompt": "Hi"}, {"prompt_cache_key": "2", "prompt": "Hi"}),
        ("/v1/completions", {"x_session_id": "1", "prompt": "Hi"}, {"x_session_id": "2", "prompt": "Hi"}),
    ],
)
def test_every_api_passes_the_key_to_the_engine(
    engine: ControllableEngine, path: str, one: dict[str, Any], another: dict[str, Any]
) -> None:
    url = engine.says("Hello there.")
    for sent in (one, one, another):
        headers = {name: value for name, value in sent.items() if name.startswith("x_")}
        wanted = body(user("Hi"), **{name: value for name, value in sent.items() if name not in headers})
        assert post(url, wanted, path, **headers).status == 200
    first, again, other = [request.routing.affinity for request in engine.requests[-3:]]
    assert first is not None
    assert first == again != other
