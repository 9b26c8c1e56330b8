"""Tests `dragoman top` with a running server."""

from click.testing import CliRunner

from conftest import Serve, body, user
from dragoman.cli import main
from dragoman.observability.recent import Inspect
from server.http import post


def top(url: str, *arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "180"}).invoke(main, ["top", "--url", url, "--once", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_models_and_requests_are_shown(serve: Serve) -> None:
    url = serve("Hello there.", slots=4, window=9_000)
    post(url, body(user("Hi"), max_tokens=1), user_agent="agent/1.2 (x)", x_claude_code_session_id="0123456789")
    post(url, {"model": "scripted"})
    lines = top(url).splitlines()
    assert any(all(word in line for word in ("scripted", "loaded", "0 of 4", "9,000")) for line in lines)
    answered = next(line for line in lines if "agent/1.2 01234567" in line)
    assert "max_tokens" in answered
    assert "0%" in answered
    assert any("invalid_request_error" in line for line in lines)


def test_control_characters_of_clients_are_not_printed(serve: Serve) -> None:
    url = serve()
    post(url, {**body(), "model": "claude-\x1b[2J"})
    assert "claude-·[2J" in top(url)
    assert "\x1b" not in top(url)


def test_a_server_that_keeps_nothing_says_so(serve: Serve) -> None:
    assert "nothing is kept" in top(serve(inspect=Inspect.OFF))


def test_a_key_is_sent(serve: Serve) -> None:
    url = serve(api_key="right")
    assert "scripted" in top(url, "--api-key", "right")
    result = CliRunner().invoke(main, ["top", "--url", url])
    assert "requires a key" in result.output
