"""The environment variables that Claude Code needs for a local model, each with its reason.

Their effects were observed with the real client and a server that recorded its requests (see docs/clients/claude-code.md).
Only the last four could not be verified: the tests run without another network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dragoman.cli.http import LOOPBACK, NO_KEY

LARGEST_OUTPUT = 32_000
"""Tokens: the `max_tokens` that the client sends for a model that it does not know."""
_SMALLEST_OUTPUT = 2_048
_OUTPUT_SHARE = 8
"""The share of the window for answers: one eighth. The client reserves a whole answer, up to `_LARGEST_RESERVE`, and
compacts that much earlier."""
_LARGEST_RESERVE = 20_000
_COMPACTION_RESERVE = 13_000
"""Tokens below the window and the reserve at which the client compacts, for every window."""
PROMPT = 13_000
"""Tokens of the client's own prompt: 49 kB, without MCP servers and CLAUDE.md."""
_LARGEST_FILE = 25_000
"""Tokens of a file that one read returns: the client's own limit."""
_LARGEST_RESULT = 30_000
"""Characters of output that a command returns: the client's own limit."""
_RESULT_SHARE = 4
"""A file or the output of a command takes at most a quarter of the window."""
_TIMEOUT_MS = 30 * 60_000
"""The longest idle time that the client can be set to accept."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Target:
    """The server and model for the client. `window` is in tokens, for prompt and answer together; None if unknown.

    `small` is a second model for small requests.
    """

    url: str
    model: str
    window: int | None
    key: str = NO_KEY
    small: str | None = None

    @classmethod
    def of(cls, url: str, model: str, window: int | None, key: str | None, small: str | None = None) -> "Target":
        """The target with `NO_KEY` in place of a missing key."""
        return cls(url, model, window, key or NO_KEY, small)

    @property
    def output(self) -> int:
        """The `max_tokens` to request. The server reduces it to the space that is left in the window."""
        window = self.window or LARGEST_OUTPUT * _OUTPUT_SHARE
        return max(_SMALLEST_OUTPUT, min(LARGEST_OUTPUT, window // _OUTPUT_SHARE))

    @property
    def compacts_at(self) -> int | None:
        """The length in tokens at which the client compacts a conversation on its own."""
        return None if self.window is None else self.window - min(self.output, _LARGEST_RESERVE) - _COMPACTION_RESERVE

    @property
    def is_cramped(self) -> bool:
        """Whether the client would compact right after the start; then it waits until the server refuses a prompt."""
        return self.compacts_at is not None and self.compacts_at < 2 * PROMPT

    @property
    def largest_file(self) -> int:
        """Tokens of a file that one read may return: a result larger than the window ends a conversation for good."""
        return _LARGEST_FILE if self.window is None else max(1_000, min(_LARGEST_FILE, self.window // _RESULT_SHARE))

    @property
    def largest_result(self) -> int:
        """Characters that a command may return; the rest stays in a file. Numbers and code have about two per token."""
        return _LARGEST_RESULT if self.window is None else max(2_000, min(_LARGEST_RESULT, 2 * self.window // _RESULT_SHARE))


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable. `value` returns None if it is not set for a target."""

    name: str
    value: Callable[[Target], str | None]
    reason: str


def _model(target: Target) -> str:
    return target.model


def _on(_: Target) -> str:
    return "1"


VARIABLES = (
    Variable("ANTHROPIC_BASE_URL", lambda target: target.url, "address of the server"),
    Variable("ANTHROPIC_AUTH_TOKEN", lambda target: target.key, "its key; an Anthropic key is never sent there"),
    Variable("ANTHROPIC_MODEL", _model, "model of the main conversation"),
    Variable("ANTHROPIC_DEFAULT_OPUS_MODEL", _model, "model of agents and skills that request opus"),
    Variable("ANTHROPIC_DEFAULT_SONNET_MODEL", _model, "model of agents and skills that request sonnet"),
    Variable(
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
        lambda target: target.small or target.model,
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
        lambda target: "1" if target.is_cramped else None,
        "with a small window the client compacts when the server refuses a prompt: its reserve would be most of the window",
    ),
    Variable(
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS", lambda target: str(target.output), "the longest answer, for which it reserves space"
    ),
    Variable(
        "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS",
        lambda target: str(target.largest_file),
        "a file that is read must not fill the window",
    ),
    Variable(
        "BASH_MAX_OUTPUT_LENGTH",
        lambda target: str(target.largest_result),
        "the output of a command must not fill the window",
    ),
    Variable("API_TIMEOUT_MS", lambda _: str(_TIMEOUT_MS), "a whole request may take half an hour"),
    Variable(
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
        lambda _: str(_TIMEOUT_MS),
        "a silent stream is abandoned after half an hour, not after five minutes",
    ),
    Variable(
        "CLAUDE_CODE_ATTRIBUTION_HEADER",
        lambda _: "0",
        "no attribution line at the top of the prompt: it differs in each conversation",
    ),
    Variable("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", _on, "no requests to other servers"),
    Variable("DISABLE_TELEMETRY", _on, "no telemetry"),
    Variable("DISABLE_ERROR_REPORTING", _on, "no error reports"),
    Variable("DISABLE_AUTOUPDATER", _on, "no updates"),
)

REMOVED = {
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
"""Variables of the user's shell that the client must not see, each with its reason."""


def variables(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """The variables to set, in the order of the table. `given` is the environment of the user's shell."""
    found = {variable.name: variable.value(target) for variable in VARIABLES}
    return {name: value for name, value in found.items() if value is not None} | _no_proxy(target, given)


def _no_proxy(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` with the server's host, if it is this machine and a proxy is set: the client would use the proxy for it."""
    host = urlsplit(target.url).hostname
    if host not in LOOPBACK or not any(name.lower() in _PROXIES for name in given):
        return {}
    hosts = ",".join(filter(None, (given.get("NO_PROXY") or given.get("no_proxy"), host)))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def removed(given: Mapping[str, str]) -> list[str]:
    """The variables in `given` that the client must not see."""
    return [name for name in REMOVED if name in given]


def environment(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the client, based on `given`."""
    return {name: value for name, value in given.items() if name not in REMOVED} | variables(target, given)
