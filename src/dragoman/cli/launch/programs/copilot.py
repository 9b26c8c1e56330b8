"""GitHub Copilot CLI with its own model provider and without GitHub, by variables."""

from dragoman.cli.launch.program import Api, Program, Variable
from dragoman.cli.launch.target import Target

_ELSEWHERE = "it is meant for another server"


def _longest_prompt(target: Target) -> str | None:
    return None if target.window is None else str(target.window - target.output)


COPILOT = Program(
    name="copilot",
    title="GitHub Copilot CLI",
    executable="copilot",
    install="npm install -g @github/copilot",
    api=Api.MESSAGES,
    prompt=12_000,
    recommended=48_000,
    variables=(
        Variable("COPILOT_PROVIDER_TYPE", "anthropic", "API format"),
        Variable("COPILOT_PROVIDER_BASE_URL", lambda target: target.url, "address of the server"),
        Variable("COPILOT_PROVIDER_API_KEY", lambda target: target.key, "its key"),
        Variable("COPILOT_MODEL", lambda target: target.model, "the model"),
        Variable("COPILOT_PROVIDER_MAX_PROMPT_TOKENS", _longest_prompt, "the window without an answer"),
        Variable("COPILOT_PROVIDER_MAX_OUTPUT_TOKENS", lambda target: str(target.output), "the longest answer"),
        Variable("COPILOT_OFFLINE", "true", "no requests to GitHub, no telemetry, no updates; its web tools are off"),
    ),
    removed={
        "COPILOT_PROVIDER_API_KEY_COMMAND": _ELSEWHERE,
        "COPILOT_PROVIDER_BEARER_TOKEN": _ELSEWHERE,
        "COPILOT_PROVIDER_HEADERS": _ELSEWHERE,
        "COPILOT_PROVIDER_MODEL_ID": "it names another model",
        "COPILOT_PROVIDER_WIRE_MODEL": "it names another model",
    },
    notes=("a GitHub account is not needed",),
    without_window="Copilot assumes its default",
)
