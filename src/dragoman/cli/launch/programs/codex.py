"""Codex, which speaks only the Responses API: all is given as options, which take precedence over its configuration."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from dragoman.cli.launch.program import KEY, Api, Program, User, Variable, found_in
from dragoman.cli.launch.target import Target

_LARGEST_RESULT = 10_000
"""Tokens of a tool's result: its own limit."""
_RESULT_SHARE = 4
_TIMEOUT_MS = 30 * 60_000


def _arguments(target: Target) -> Iterator[str]:
    for name, value in _settings(target).items():
        yield from ("-c", f"{name}={_toml(value)}")


def _settings(target: Target) -> dict[str, object]:
    provider = {
        "name": "Dragoman",
        "base_url": f"{target.url}/v1",
        "env_key": KEY,
        "wire_api": "responses",
        "stream_idle_timeout_ms": _TIMEOUT_MS,
    }
    given: dict[str, object] = {"model": target.model, "model_provider": "dragoman", "model_providers.dragoman": provider}
    if target.window is not None:
        given |= {
            "model_context_window": target.window,
            "model_auto_compact_token_limit": target.window - target.output,
            "tool_output_token_limit": min(_LARGEST_RESULT, target.window // _RESULT_SHARE),
        }
    return given | {"web_search": "disabled", "analytics.enabled": False, "check_for_update_on_startup": False}


def _toml(value: object) -> str:
    """A value in TOML: that of JSON, but for tables."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())}}}"
    return msgspec.json.encode(value).decode()


def _managed(_: User) -> list[Path]:
    return [Path("/etc/codex/managed_config.toml"), Path("/etc/codex/requirements.toml")]


CODEX = Program(
    name="codex",
    title="Codex",
    executable="codex",
    install="npm install -g @openai/codex",
    api=Api.RESPONSES,
    prompt=10_000,
    recommended=32_000,
    variables=(Variable(KEY, lambda target: target.key, "key of the server"),),
    arguments=lambda target: list(_arguments(target)),
    overriding=found_in(_managed, r"^\s*(model\w*)\s*=", "which takes precedence in Codex"),
    notes=(
        "options (`-c`): the server, the model, its window, and when to compact: one answer before its end",
        "the result of a tool takes a quarter of the window at most, and a stream may be silent for half an hour",
        "no web search (it runs on OpenAI's servers), no telemetry, no question about updates",
        "Codex warns that it has no metadata for the model: it has them for OpenAI's models only, and works without",
    ),
    without_window="Codex assumes 272,000 tokens",
)
