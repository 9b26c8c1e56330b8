"""Qwen Code: variables, and a settings file in place of that of the machine, which takes precedence over the user's."""

import json

from dragoman.cli.launch.program import Api, ConfigFile, Program, Variable
from dragoman.cli.launch.target import Target

_TIMEOUT_MS = 30 * 60_000


def _settings(target: Target) -> str:
    window = {"contextWindowSize": target.window} if target.window else {}
    generation = {**window, "timeout": _TIMEOUT_MS, "samplingParams": {"max_tokens": target.output}}
    return json.dumps(
        {
            "model": {"name": target.model, "generationConfig": generation},
            "fastModel": target.for_small,
            "security": {"auth": {"selectedType": "anthropic"}},
            "general": {"enableAutoUpdate": False},
            "privacy": {"usageStatisticsEnabled": False},
        }
    )


QWEN = Program(
    name="qwen",
    title="Qwen Code",
    executable="qwen",
    install="npm install -g @qwen-code/qwen-code",
    api=Api.MESSAGES,
    prompt=16_000,
    recommended=48_000,
    variables=(
        Variable("ANTHROPIC_BASE_URL", lambda target: target.url, "address of the server"),
        Variable("ANTHROPIC_API_KEY", lambda target: target.key, "its key"),
        Variable("ANTHROPIC_MODEL", lambda target: target.model, "the model"),
    ),
    removed={"QWEN_MODEL": "it names another model", "OPENAI_MODEL": "it names another model"},
    files=(
        ConfigFile(
            "settings.json",
            "QWEN_CODE_SYSTEM_SETTINGS_PATH",
            _settings,
            "API format, models, window, longest answer, a time-out of half an hour; no statistics, no updates",
        ),
    ),
    notes=("settings of the whole machine (`/etc/qwen-code/settings.json`) are not read in this run",),
    without_window="Qwen Code assumes its default",
)
