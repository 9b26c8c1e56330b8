"""Claude Code: its variables for a local model, each with its reason.

Their effects were observed with the real client and a server that recorded its requests (see docs/clients/claude-code.md).
Only the last four could not be verified: the tests run without another network.
"""

from dragoman.cli.launch.program import Api, Program, Variable
from dragoman.cli.launch.programs.claude_settings import overriding
from dragoman.cli.launch.target import Target
from dragoman.models.fit import COMFORTABLE

_LARGEST_RESERVE = 20_000
_COMPACTION_RESERVE = 13_000
"""Tokens below the window and the reserve for an answer at which the client compacts, for every window."""
_PROMPT = 13_000
"""Tokens of the client's own prompt: 49 kB, without MCP servers and CLAUDE.md."""
_LARGEST_FILE = 25_000
"""Tokens of a file that one read returns: the client's own limit."""
_LARGEST_RESULT = 30_000
"""Characters of output that a command returns: the client's own limit."""
_RESULT_SHARE = 4
"""A file or the output of a command takes at most a quarter of the window."""
_TIMEOUT_MS = 30 * 60_000
"""The longest idle time that the client can be set to accept."""


def _model(target: Target) -> str:
    return target.model


def _is_cramped(target: Target) -> bool:
    """Whether the client would compact right after the start; then it waits until the server refuses a prompt."""
    if target.window is None:
        return False
    return target.window - min(target.output, _LARGEST_RESERVE) - _COMPACTION_RESERVE < 2 * _PROMPT


def _largest_file(target: Target) -> int:
    """Tokens of a file that one read may return: a result larger than the window ends a conversation for good."""
    return _LARGEST_FILE if target.window is None else max(1_000, min(_LARGEST_FILE, target.window // _RESULT_SHARE))


def _largest_result(target: Target) -> int:
    """Characters that a command may return; the rest stays in a file. Numbers and code have about two per token."""
    return _LARGEST_RESULT if target.window is None else max(2_000, min(_LARGEST_RESULT, 2 * target.window // _RESULT_SHARE))


_VARIABLES = (
    Variable("ANTHROPIC_BASE_URL", lambda target: target.url, "address of the server"),
    Variable("ANTHROPIC_AUTH_TOKEN", lambda target: target.key, "its key; an Anthropic key is never sent there"),
    Variable("ANTHROPIC_MODEL", _model, "model of the main conversation"),
    Variable("ANTHROPIC_DEFAULT_OPUS_MODEL", _model, "model of agents and skills that request opus"),
    Variable("ANTHROPIC_DEFAULT_SONNET_MODEL", _model, "model of agents and skills that request sonnet"),
    Variable(
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
        lambda target: target.for_small,
        "model of those that request haiku, and of small side requests; with `--small`, the small one",
    ),
    Variable("ANTHROPIC_DEFAULT_FABLE_MODEL", _model, "model of agents and skills that request fable"),
    Variable("CLAUDE_CODE_SUBAGENT_MODEL", _model, "model of agents that request no model"),
    Variable(
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS",
        lambda target: None if target.window is None else str(target.window),
        "the true context window: for an unknown model the client assumes a million tokens",
    ),
    Variable(
        "CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT",
        lambda target: "1" if _is_cramped(target) else None,
        "with a small window the client compacts when the server refuses a prompt: its reserve would be most of the window",
    ),
    Variable(
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS", lambda target: str(target.output), "the longest answer, for which it reserves space"
    ),
    Variable(
        "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS",
        lambda target: str(_largest_file(target)),
        "a file that is read must not fill the window",
    ),
    Variable(
        "BASH_MAX_OUTPUT_LENGTH",
        lambda target: str(_largest_result(target)),
        "the output of a command must not fill the window",
    ),
    Variable("API_TIMEOUT_MS", str(_TIMEOUT_MS), "a whole request may take half an hour"),
    Variable(
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
        str(_TIMEOUT_MS),
        "a silent stream is abandoned after half an hour, not after five minutes",
    ),
    Variable(
        "CLAUDE_CODE_ATTRIBUTION_HEADER",
        "0",
        "no attribution line at the top of the prompt: it differs in each conversation",
    ),
    Variable("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1", "no requests to other servers"),
    Variable("DISABLE_TELEMETRY", "1", "no telemetry"),
    Variable("DISABLE_ERROR_REPORTING", "1", "no error reports"),
    Variable("DISABLE_AUTOUPDATER", "1", "no updates"),
)

_REMOVED = {
    "ANTHROPIC_API_KEY": "the client would send it to the local server, in addition to the token",
    "ANTHROPIC_CUSTOM_HEADERS": "the headers are meant for another server",
    "ANTHROPIC_UNIX_SOCKET": "the client would connect there instead",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS": "the client would use that cloud instead",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD": "the client would use that cloud instead",
    "CLAUDE_CODE_USE_BEDROCK": "the client would use that cloud instead",
    "CLAUDE_CODE_USE_FOUNDRY": "the client would use that cloud instead",
    "CLAUDE_CODE_USE_MANTLE": "the client would use that cloud instead",
    "CLAUDE_CODE_USE_VERTEX": "the client would use that cloud instead",
}

CLAUDE = Program(
    name="claude",
    title="Claude Code",
    executable="claude",
    install="npm install -g @anthropic-ai/claude-code",
    api=Api.MESSAGES,
    prompt=_PROMPT,
    recommended=COMFORTABLE,
    variables=_VARIABLES,
    removed=_REMOVED,
    overriding=overriding,
    without_window="Claude Code assumes a million tokens",
)
