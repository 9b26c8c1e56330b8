"""Goose, by variables, which take precedence over its configuration."""

from pathlib import Path

from dragoman.cli.launch.program import Api, Program, User, Variable, found_in
from dragoman.cli.launch.target import Target

_OTHER_MODEL = "it names another provider or model"


def _window(target: Target) -> str | None:
    return None if target.window is None else str(target.window)


def _configuration(user: User) -> list[Path]:
    return [user.folder("XDG_CONFIG_HOME", ".config") / "goose" / "config.yaml"]


GOOSE = Program(
    name="goose",
    title="Goose",
    executable="goose",
    install="brew install block-goose-cli",
    api=Api.MESSAGES,
    prompt=4_000,
    recommended=32_000,
    variables=(
        Variable("GOOSE_PROVIDER", "anthropic", "API format"),
        Variable("GOOSE_MODEL", lambda target: target.model, "the model"),
        Variable("ANTHROPIC_HOST", lambda target: target.url, "address of the server"),
        Variable("ANTHROPIC_API_KEY", lambda target: target.key, "its key"),
        Variable("GOOSE_CONTEXT_LIMIT", _window, "the window"),
        Variable("GOOSE_MAX_TOKENS", lambda target: str(target.output), "the longest answer"),
        Variable("GOOSE_TELEMETRY_ENABLED", "false", "no telemetry"),
    ),
    removed={
        "ANTHROPIC_CUSTOM_HEADERS": "the headers are meant for another server",
        **dict.fromkeys(
            ("GOOSE_PLANNER_MODEL", "GOOSE_PLANNER_PROVIDER", "GOOSE_SUBAGENT_MODEL", "GOOSE_SUBAGENT_PROVIDER"), _OTHER_MODEL
        ),
    },
    overriding=found_in(
        _configuration, r"^(GOOSE_(?:PLANNER|SUBAGENT)_(?:MODEL|PROVIDER))\s*:", "so Goose uses another model there"
    ),
    notes=(
        "titles of sessions are requested from Claude Haiku: Dragoman answers with its small model, else with its first one",
    ),
    without_window="Goose assumes 200,000 tokens",
)
