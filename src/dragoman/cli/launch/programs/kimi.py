"""Kimi Code, with a model that is described by variables."""

from dragoman.cli.launch.program import Api, Program, Variable
from dragoman.cli.launch.target import Target


def _window(target: Target) -> str | None:
    return None if target.window is None else str(target.window)


KIMI = Program(
    name="kimi",
    title="Kimi Code",
    executable="kimi",
    install="npm install -g @moonshot-ai/kimi-code",
    api=Api.MESSAGES,
    prompt=22_000,
    recommended=65_000,
    variables=(
        Variable("KIMI_MODEL_PROVIDER_TYPE", "anthropic", "API format"),
        Variable("KIMI_MODEL_BASE_URL", lambda target: target.url, "address of the server"),
        Variable("KIMI_MODEL_API_KEY", lambda target: target.key, "its key"),
        Variable("KIMI_MODEL_NAME", lambda target: target.model, "the model"),
        Variable("KIMI_MODEL_MAX_CONTEXT_SIZE", _window, "its window"),
        Variable("KIMI_MODEL_MAX_OUTPUT_SIZE", lambda target: str(target.output), "the longest answer"),
        Variable("KIMI_DISABLE_TELEMETRY", "1", "no telemetry"),
        Variable("KIMI_CODE_NO_AUTO_UPDATE", "1", "no updates"),
    ),
    without_window="Kimi Code assumes its default",
)
