"""Pi, by an extension that registers the server as a provider; the user's settings and sessions stay as they are."""

import json
from collections.abc import Sequence

from dragoman.cli.launch.program import KEY, Api, ConfigFile, Program, Variable
from dragoman.cli.launch.target import Target

_FREE = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}


def _extension(target: Target) -> str:
    provider = {
        "name": "Dragoman",
        "baseUrl": target.url,
        "apiKey": f"${KEY}",
        "api": "anthropic-messages",
        "models": [_model(name, target) for name in target.models],
    }
    return f'export default (pi) => pi.registerProvider("dragoman", {json.dumps(provider)});\n'


def _model(name: str, target: Target) -> dict[str, object]:
    window = {"contextWindow": target.window} if target.window else {}
    return {
        "id": name,
        "name": name,
        "reasoning": True,
        "input": ["text", "image"],
        "cost": _FREE,
        **window,
        "maxTokens": target.output,
    }


def _arguments(target: Target) -> Sequence[str]:
    return ["--model", f"dragoman/{target.model}"]


PI = Program(
    name="pi",
    title="Pi",
    executable="pi",
    install="npm install -g @earendil-works/pi-coding-agent",
    api=Api.MESSAGES,
    prompt=1_500,
    recommended=16_000,
    variables=(
        Variable(KEY, lambda target: target.key, "key of the server"),
        Variable("PI_OFFLINE", "1", "no requests to other servers at the start"),
    ),
    files=(
        ConfigFile(
            "dragoman.js",
            "--extension",
            _extension,
            "a provider: the server, the models, their window, the longest answer",
        ),
    ),
    arguments=_arguments,
    notes=("`--model` with the model; ctrl+P switches to the small one",),
    without_window="Pi assumes 128,000 tokens",
)
