"""Cline's command line, by a file of providers in place of the user's."""

import json

from dragoman.cli.launch.program import Api, ConfigFile, Program, Variable
from dragoman.cli.launch.target import Target

_PROVIDER = "openai-compatible"
_TIMEOUT_MS = 30 * 60_000
_LONG_AGO = "2026-01-01T00:00:00.000Z"
"""When the settings were changed: Cline requires a time."""


def _providers(target: Target) -> str:
    window = {"contextWindow": target.window} if target.window else {}
    settings = {
        "provider": _PROVIDER,
        "baseUrl": f"{target.url}/v1",
        "apiKey": target.key,
        "model": target.model,
        "maxTokens": target.output,
        **window,
        "timeout": _TIMEOUT_MS,
    }
    provider = {"settings": settings, "updatedAt": _LONG_AGO, "tokenSource": "manual"}
    return json.dumps({"version": 1, "lastUsedProvider": _PROVIDER, "providers": {_PROVIDER: provider}})


CLINE = Program(
    name="cline",
    title="Cline",
    executable="cline",
    install="npm install -g cline",
    api=Api.CHAT,
    prompt=5_500,
    recommended=32_000,
    variables=(
        Variable("CLINE_SESSION_BACKEND_MODE", "local", "not Cline's background process, which would use other settings"),
        Variable("CLINE_NO_AUTO_UPDATE", "1", "no updates"),
    ),
    files=(
        ConfigFile(
            "providers.json",
            "CLINE_PROVIDER_SETTINGS_PATH",
            _providers,
            "the server, its key, the model, its window, the longest answer, a time-out of half an hour",
        ),
    ),
    notes=(
        "through the OpenAI-compatible API: with the Messages API, Cline requests a web search that the server has to run",
        "your own providers are not read in this run; what you change about them in Cline is lost at its end",
    ),
    without_window="Cline assumes its default",
)
