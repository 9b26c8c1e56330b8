"""Aider, by variables and by files that describe the model."""

import json
from pathlib import Path

from dragoman.cli.launch.program import Api, ConfigFile, Program, User, Variable, found_in
from dragoman.cli.launch.target import Target

_TIMEOUT_S = 30 * 60
_PREFIX = "anthropic/"


def _metadata(target: Target) -> str:
    window = target.window or target.output * 8
    fields = {"max_input_tokens": window, "max_tokens": target.output, "max_output_tokens": target.output}
    model = {**fields, "input_cost_per_token": 0, "output_cost_per_token": 0, "litellm_provider": "anthropic", "mode": "chat"}
    return json.dumps({f"{_PREFIX}{name}": model for name in target.models})


def _settings(target: Target) -> str:
    """The settings in JSON, which YAML contains."""
    return json.dumps(
        [
            {"name": f"{_PREFIX}{name}", "use_temperature": False, "extra_params": {"max_tokens": target.output}}
            for name in target.models
        ]
    )


def _env_files(user: User) -> list[Path]:
    """The files that Aider reads: in the home folder, at the top of the repository and here."""
    here = user.project
    top = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    return [folder / ".env" for folder in dict.fromkeys((user.home, top, here))]


AIDER = Program(
    name="aider",
    title="Aider",
    executable="aider",
    install="uv tool install aider-chat",
    api=Api.MESSAGES,
    prompt=800,
    recommended=16_000,
    variables=(
        Variable("ANTHROPIC_API_BASE", lambda target: target.url, "address of the server"),
        Variable("ANTHROPIC_API_KEY", lambda target: target.key, "its key"),
        Variable("AIDER_MODEL", lambda target: f"{_PREFIX}{target.model}", "the model"),
        Variable("AIDER_WEAK_MODEL", lambda target: f"{_PREFIX}{target.for_small}", "model for commit messages and summaries"),
        Variable("AIDER_TIMEOUT", str(_TIMEOUT_S), "a request may take half an hour"),
        Variable("AIDER_ANALYTICS", "false", "no telemetry"),
        Variable("AIDER_CHECK_UPDATE", "false", "no question about updates"),
        Variable("AIDER_SHOW_RELEASE_NOTES", "false", "no question about release notes"),
    ),
    files=(
        ConfigFile("metadata.json", "AIDER_MODEL_METADATA_FILE", _metadata, "the window and the longest answer"),
        ConfigFile(
            "settings.yml", "AIDER_MODEL_SETTINGS_FILE", _settings, "the longest answer; the temperature is the server's"
        ),
    ),
    overriding=found_in(
        _env_files, r"^\s*(?:export\s+)?((?:AIDER|ANTHROPIC)_\w+)\s*=", "which takes precedence in Aider: remove it there"
    ),
    notes=(
        "Aider has no tools: it asks for whole files, or with `-- --edit-format diff` for changes, and writes them itself",
        "your own files of metadata and settings of models are not read in this run",
    ),
    without_window="Aider assumes eight times the longest answer",
)
