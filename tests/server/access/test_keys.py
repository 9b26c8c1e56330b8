"""Several keys with names and limits per minute: on a live server, in its headers, its log and its metrics."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any

import anthropic
import pytest
from starlette.datastructures import Headers

from conftest import MODEL, body, live_registry, registry_of
from controllable_engine import PREFILL, ControllableEngine, until
from dragoman.errors import RateLimited
from dragoman.observability.log_entry import Tokens
from dragoman.server import create_app
from dragoman.server.access.auth import Keyring
from dragoman.server.access.key_file import read_keys
from dragoman.server.access.rate_limits import Kind, RateLimits, Spending
from dragoman.toml_tables import UnusableFile
from server.http import count, get, post
from server.test_log_line import RequestLog, log

__all__ = ["log"]

LimitedServer = Callable[[str], ControllableEngine]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[LimitedServer]:
    """`limited("requests_per_minute = 2")`: the engine of a new server with the key "sk-ann" of Ann, which has this limit."""
    with ExitStack() as stack:

        def start(limits: str) -> ControllableEngine:
            engine = ControllableEngine()
            registry = registry_of(engine, id=MODEL)
            file = tmp_path / "keys.toml"
            file.write_text(f'[ann]\nkey = "sk-ann"\n{limits}\n[bob]\nkey = "sk-bob"\n', encoding="utf-8")
            app = create_app(registry, keyring=Keyring.read(file))
            engine.url = stack.enter_context(live_registry(registry, app))
            return engine

        yield start


def rates(headers: dict[str, str]) -> dict[str, str]:
    prefix = "anthropic-ratelimit-"
    return {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}


@pytest.mark.clause("TRN-17", "ERR-2", "ERR-6", "ERR-7")
def test_requests_beyond_the_limit_are_a_429_that_says_when_to_retry(limited: LimitedServer) -> None:
    url = limited("requests_per_minute = 2").url
    before = datetime.now(UTC) - timedelta(seconds=1)
    answers = [post(url, body(stream=stream), x_api_key="sk-ann") for stream in (False, True)]
    assert [answer.status for answer in answers] == [HTTPStatus.OK, HTTPStatus.OK]
    assert [rates(answer.headers)["requests-remaining"] for answer in answers] == ["1", "0"]
    refused = post(url, body(), x_api_key="sk-ann")
    assert refused.status == HTTPStatus.TOO_MANY_REQUESTS
    kind, message = refused.error
    assert kind == "rate_limit_error"
    assert message.startswith("this key may use 2 requests per minute: retry in ")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-should-retry"] == "true"
    stated = rates(refused.headers)
    assert set(stated) == {"requests-limit", "requests-remaining", "requests-reset"}
    assert (stated["requests-limit"], stated["requests-remaining"]) == ("2", "0")
    assert before < datetime.fromisoformat(stated["requests-reset"]) < before + timedelta(minutes=2)
    other = post(url, body(), x_api_key="sk-bob")
    assert (other.status, rates(other.headers)) == (HTTPStatus.OK, {})


def test_the_official_sdk_sees_a_rate_limit(limited: LimitedServer) -> None:
    url = limited("requests_per_minute = 1").url
    request: dict[str, Any] = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    with anthropic.Anthropic(base_url=url, api_key="sk-ann", max_retries=0) as client:
        assert client.messages.with_raw_response.create(**request).headers["anthropic-ratelimit-requests-limit"] == "1"
        with pytest.raises(anthropic.RateLimitError) as raised:
            client.messages.create(**request)
        assert int(raised.value.response.headers["retry-after"]) > 0


def test_the_openai_format_has_its_own_form_of_a_429(limited: LimitedServer) -> None:
    url = limited("requests_per_minute = 1").url
    path = "/v1/chat/completions"
    assert post(url, body(), path, authorization="Bearer sk-ann").status == HTTPStatus.OK
    refused = post(url, body(), path, authorization="Bearer sk-ann")
    assert refused.status == HTTPStatus.TOO_MANY_REQUESTS
    assert (refused.json["error"]["type"], refused.json["error"]["code"]) == ("rate_limit_error", "rate_limit_exceeded")


def test_only_generating_requests_are_limited(limited: LimitedServer) -> None:
    url = limited("requests_per_minute = 1").url
    for _ in range(3):
        answer = post(url, body(), "/v1/messages/count_tokens", x_api_key="sk-ann")
        assert (answer.status, rates(answer.headers)) == (HTTPStatus.OK, {})
        assert get(url, "/v1/models", x_api_key="sk-ann").status == HTTPStatus.OK
    assert post(url, body(), x_api_key="sk-ann").status == HTTPStatus.OK


def test_a_refused_request_is_not_read(limited: LimitedServer) -> None:
    url = limited("requests_per_minute = 1").url
    assert post(url, b"{", x_api_key="sk-ann").status == HTTPStatus.BAD_REQUEST
    assert post(url, b"{", x_api_key="sk-ann").status == HTTPStatus.TOO_MANY_REQUESTS


@pytest.mark.clause("TRN-17")
def test_cached_tokens_are_free_and_output_counts(limited: LimitedServer, engine: ControllableEngine) -> None:
    prompt = count(engine.url, body())
    server = limited("tokens_per_minute = 1000\ninput_tokens_per_minute = 1000\noutput_tokens_per_minute = 1000")
    server.cached = prompt - 2
    answer = post(server.url, body(), x_api_key="sk-ann").json["usage"]
    assert (answer["input_tokens"], answer["cache_read_input_tokens"]) == (2, prompt - 2)
    used = 2 + answer["output_tokens"]
    left = rates(post(server.url, body(), x_api_key="sk-ann").headers)
    refilled = 1000 // 60 + 1  # at most a second passed
    assert 1000 - used - prompt <= int(left["tokens-remaining"]) <= 1000 - used - prompt + refilled
    assert 1000 - 2 - prompt <= int(left["input-tokens-remaining"]) <= 1000 - prompt
    assert int(left["output-tokens-limit"]) == 1000


def test_requests_at_the_same_time_cannot_all_overdraw_a_limit(limited: LimitedServer) -> None:
    server = limited("input_tokens_per_minute = 5")
    server.hold(before=PREFILL)
    statuses: list[int] = []
    threads = [Thread(target=lambda: statuses.append(post(server.url, body(), x_api_key="sk-ann").status)) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) == 3)  # the first one has reserved its prompt, and is held
    server.release()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [HTTPStatus.OK, *[HTTPStatus.TOO_MANY_REQUESTS] * 3]


def test_the_log_and_the_metrics_have_the_name_and_never_the_key(
    limited: LimitedServer, log: RequestLog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = limited("requests_per_minute = 1")
    server.cached = 3
    answer = post(server.url, body(), x_api_key="sk-ann")
    usage = answer.json["usage"]
    assert log.of(answer)["key"] == "ann"
    assert log.of(post(server.url, body(), x_api_key="sk-ann"))["key"] == "ann"
    assert "key" not in log.of(post(server.url, body(), x_api_key="sk-wrong"))
    page = get(server.url, "/metrics", x_api_key="sk-bob").content.decode()
    for line in (
        'dragoman_key_requests_total{key="ann",status="200"} 1.0',
        'dragoman_key_requests_total{key="ann",status="429"} 1.0',
        f'dragoman_key_tokens_total{{key="ann",kind="input"}} {usage["input_tokens"]:.1f}',
        'dragoman_key_tokens_total{key="ann",kind="cached"} 3.0',
        f'dragoman_key_tokens_total{{key="ann",kind="output"}} {usage["output_tokens"]:.1f}',
    ):
        assert line in page
    assert "  key ann  " in caplog.text
    assert "sk-" not in caplog.text + page


@pytest.mark.clause("AUTH-2", "AUTH-3")
def test_every_key_of_the_file_is_accepted_and_no_other(limited: LimitedServer) -> None:
    url = limited("").url
    for headers in (
        {"x_api_key": "sk-ann"},
        {"authorization": "Bearer sk-bob"},
        {"x_api_key": "x", "authorization": "Bearer sk-bob"},
    ):
        assert post(url, body(), **headers).status == HTTPStatus.OK
    for headers in ({"x_api_key": "ann"}, {"x_api_key": "sk-an"}, {"x_api_key": ""}, {}):
        assert post(url, body(), **headers).status == HTTPStatus.UNAUTHORIZED


# Limits


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_of(limits: RateLimits) -> int | None:
    """The seconds for which a new request is refused; None if it is accepted."""
    try:
        Spending(limits).begin()
    except RateLimited as error:
        return error.retry_after
    return None


def test_a_limit_refills_evenly_and_holds_one_minute_at_most() -> None:
    clock = Clock()
    limits = RateLimits({Kind.REQUESTS: 6}, clock)
    assert [wait_of(limits) for _ in range(7)] == [None] * 6 + [10]
    clock.now = 4.5
    assert wait_of(limits) == 6
    clock.now = 10
    assert [wait_of(limits) for _ in range(2)] == [None, 10]
    clock.now = 10_000
    assert [wait_of(limits) for _ in range(7)] == [None] * 6 + [10]


def test_an_overdrawn_limit_is_waited_for() -> None:
    clock = Clock()
    limits = RateLimits({Kind.OUTPUT_TOKENS: 60}, clock)
    spending = Spending(limits)
    spending.begin()
    spending.reserve(10_000)  # the input is not limited
    spending.settle(Tokens(prompt=10_000, new=10_000, cached=0, output=100, thinking=0))
    assert wait_of(limits) == 41
    assert limits.headers()["anthropic-ratelimit-output-tokens-remaining"] == "0"
    clock.now = 41
    assert wait_of(limits) is None


def test_a_prompt_larger_than_the_limit_passes_once() -> None:
    clock = Clock()
    limits = RateLimits({Kind.INPUT_TOKENS: 100}, clock)
    spending = Spending(limits)
    spending.begin()
    spending.reserve(300)
    assert wait_of(limits) == 121


def test_a_request_that_did_not_reach_the_engine_costs_no_tokens() -> None:
    limits = RateLimits({Kind.TOKENS: 100}, Clock())
    spending = Spending(limits)
    spending.begin()
    spending.reserve(300)
    spending.settle(None)
    assert limits.headers()["anthropic-ratelimit-tokens-remaining"] == "100"


def test_the_longest_wait_is_reported() -> None:
    limits = RateLimits({Kind.REQUESTS: 1, Kind.TOKENS: 60}, Clock())
    spending = Spending(limits)
    spending.begin()
    spending.reserve(180)
    with pytest.raises(RateLimited, match="60 tokens per minute: retry in 121 s"):
        Spending(limits).begin()


# The file


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "contains no key"),
        ("[ann", "is not TOML"),
        ("[ann]", "[ann]: Object missing required field `key`"),
        ('ann = "sk-ann"', "[ann]: Expected `object`, got `str`"),
        ('[ann]\nkey = ""', "[ann]: a key has at least one character"),
        ('[ann]\nkey = "sk ann"', "[ann]: a key has at least one character"),
        ('[ann]\nkey = "schlüssel"', "[ann]: a key has at least one character"),
        ('[ann]\nkey = "sk-ann"\nrequests = 5', "[ann]: Object contains unknown field `requests`"),
        ('[ann]\nkey = "sk-ann"\nrequests_per_minute = 0', "[ann]: Expected `int` >= 1 - at `$.requests_per_minute`"),
        ('[ann]\nkey = "sk-ann"\nrequests_per_minute = "5"', "[ann]: Expected `int | null`, got `str`"),
        ('[ann]\nkey = "sk-ann"\ntokens_per_minute = true', "[ann]: Expected `int | null`, got `bool`"),
        ('[ann]\nkey = "sk-one"\n[bob]\nkey = "sk-one"', "[bob] has the same key as [ann]"),
        ('["a b"]\nkey = "sk-ann"', "[a b]: a name has up to 64"),
        ('[""]\nkey = "sk-ann"', "[]: a name has up to 64"),
        (b"\xff", "is not UTF-8"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why_and_contains_no_key(
    tmp_path: Path, content: str | bytes | None, reason: str
) -> None:
    file = tmp_path / "keys.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnusableFile) as raised:
        Keyring.read(file)
    assert str(raised.value).startswith(str(file))
    assert reason in str(raised.value)
    assert "sk-" not in str(raised.value)


def test_reading_again_keeps_what_was_used_and_takes_what_changed(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"

    def write(*lines: str) -> None:
        file.write_text("\n".join(lines), encoding="utf-8")

    def left(secret: str) -> str:
        key = keyring.check(Headers({"x-api-key": secret}))
        return key.limits.headers()["anthropic-ratelimit-requests-remaining"]

    write("[ann]", 'key = "1"', "requests_per_minute = 5", "[bob]", 'key = "2"', "requests_per_minute = 5")
    keyring = Keyring.read(file)
    for secret in ("1", "2"):
        Spending(keyring.check(Headers({"x-api-key": secret})).limits).begin()
    write("[ann]", 'key = "new"', "requests_per_minute = 5", "[bob]", 'key = "2"', "requests_per_minute = 9")
    keyring.load()
    assert (left("new"), left("2")) == ("4", "9")
    write("[ann")
    with pytest.raises(UnusableFile):
        keyring.load()
    assert left("new") == "4"


def test_the_example_in_the_documentation_is_a_file_of_keys(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    file = tmp_path / "keys.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    keyring = Keyring.read(file)
    assert keyring.required
    assert set(read_keys(file)) == {"ann", "build-server"}
