"""API keys."""

from collections.abc import Iterator
from http import HTTPStatus
from unittest.mock import patch

import pytest

from conftest import Serve, body, live_server
from controllable_engine import ControllableEngine
from server.http import Answer, get, post

KEY = "sk-ant-a-key"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with live_server(ControllableEngine(), api_key=KEY) as url:
        yield url


def allowed(answer: Answer) -> bool:
    assert answer.status in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED)
    return answer.status == HTTPStatus.OK


@pytest.mark.clause("AUTH-1")
def test_either_header_may_hold_the_key(guarded: str) -> None:
    assert allowed(post(guarded, body(), x_api_key=KEY))
    assert allowed(post(guarded, body(), authorization=f"Bearer {KEY}"))
    assert allowed(post(guarded, body(), authorization=f"bearer {KEY}"))
    assert allowed(get(guarded, "/v1/models", x_api_key=KEY))
    assert allowed(get(guarded, "/anthropic/v1/models", authorization=f"Bearer {KEY}"))


@pytest.mark.clause("AUTH-2")
def test_with_both_headers_either_may_hold_the_key(guarded: str) -> None:
    assert allowed(post(guarded, body(), x_api_key=KEY, authorization="Bearer wrong"))
    assert allowed(post(guarded, body(), x_api_key="wrong", authorization=f"Bearer {KEY}"))
    assert not allowed(post(guarded, body(), x_api_key="wrong", authorization="Bearer wrong"))


@pytest.mark.clause("AUTH-3")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/anthropic/v1/messages"])
def test_a_request_without_the_key_is_refused(guarded: str, path: str) -> None:
    missing = post(guarded, body(), path)
    assert missing.status == HTTPStatus.UNAUTHORIZED
    assert missing.error == ("authentication_error", "x-api-key header is required")
    assert missing.headers["x-should-retry"] == "false"
    for headers in (
        {"x_api_key": "wrong"},
        {"x_api_key": ""},
        {"x_api_key": KEY + "x"},
        {"x_api_key": "schlüssel"},
        {"authorization": "Bearer wrong"},
    ):
        refused = post(guarded, body(), path, **headers)
        assert refused.status == HTTPStatus.UNAUTHORIZED
        assert refused.error == ("authentication_error", "invalid x-api-key")


@pytest.mark.clause("AUTH-3")
def test_another_scheme_is_not_a_key(guarded: str) -> None:
    refused = post(guarded, body(), authorization=f"Basic {KEY}")
    assert refused.error == ("authentication_error", "x-api-key header is required")


@pytest.mark.clause("AUTH-3")
def test_the_key_is_checked_before_the_request(guarded: str) -> None:
    for path in ("/v1/models", "/v1/models/unknown", "/nowhere"):
        assert get(guarded, path).status == HTTPStatus.UNAUTHORIZED
    assert post(guarded, b"{", anthropic_version=None).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.clause("AUTH-3")
def test_keys_are_compared_in_constant_time(guarded: str) -> None:
    with patch("secrets.compare_digest", return_value=True) as compare:
        assert allowed(post(guarded, body(), x_api_key="wrong"))
    compare.assert_called_once_with(b"wrong", KEY.encode())


@pytest.mark.clause("AUTH-4")
def test_without_auth_any_key_or_none_is_accepted(engine: ControllableEngine) -> None:
    assert allowed(post(engine.url, body()))
    assert allowed(post(engine.url, body(), x_api_key="whatever"))
    assert allowed(post(engine.url, body(), authorization="Bearer whatever"))
    assert allowed(post(engine.url, body(), authorization="nonsense"))


@pytest.mark.clause("AUTH-5")
def test_tenancy_headers_are_ignored(engine: ControllableEngine) -> None:
    answer = post(
        engine.url,
        body(user_profile_id="uprof_1", workspace_id="wrkspc_1"),
        anthropic_workspace_id="wrkspc_1",
        anthropic_user_profile_id="uprof_1",
    )
    assert allowed(answer)


def test_a_non_ascii_key_is_compared_byte_by_byte(serve: Serve) -> None:
    url = serve(api_key="schlüssel")
    assert allowed(post(url, body(), x_api_key="schlüssel".encode().decode("latin-1")))
