"""OpenCode: one variable with a configuration, which takes precedence over its files."""

import json
from pathlib import Path

from dragoman.cli.launch.program import KEY, Api, Program, User, Variable, found_in
from dragoman.cli.launch.target import Target

_TIMEOUT_MS = 30 * 60_000


def _configuration(target: Target) -> str:
    limit = {"limit": {"context": target.window, "output": target.output}} if target.window else {}
    provider = {
        "npm": "@ai-sdk/anthropic",
        "name": "Dragoman",
        "options": {"baseURL": f"{target.url}/v1", "apiKey": f"{{env:{KEY}}}", "timeout": _TIMEOUT_MS},
        "models": {name: {"name": name, "tool_call": True, **limit} for name in target.models},
    }
    return json.dumps(
        {
            "provider": {"dragoman": provider},
            "model": f"dragoman/{target.model}",
            "small_model": f"dragoman/{target.for_small}",
            "share": "disabled",
            "autoupdate": False,
        }
    )


def _files(user: User) -> list[Path]:
    folders = [user.folder("XDG_CONFIG_HOME", ".config") / "opencode", user.project, user.project / ".opencode"]
    return [folder / f"opencode.{kind}" for folder in folders for kind in ("json", "jsonc")]


OPENCODE = Program(
    name="opencode",
    title="OpenCode",
    executable="opencode",
    install="npm install -g opencode-ai",
    api=Api.MESSAGES,
    prompt=8_000,
    recommended=32_000,
    variables=(
        Variable("OPENCODE_CONFIG_CONTENT", _configuration, "server, models with their limits, a time-out of half an hour"),
        Variable(KEY, lambda target: target.key, "key of the server"),
        Variable("OPENCODE_DISABLE_MODELS_FETCH", "1", "no list of models from another server"),
        Variable("OPENCODE_DISABLE_AUTOUPDATE", "1", "no updates"),
    ),
    overriding=found_in(_files, r'"(agent|mode)"\s*:', "whose models, if there are any, take precedence in OpenCode"),
    notes=("titles of sessions are requests to the small model",),
    without_window="OpenCode never compacts a conversation",
)
