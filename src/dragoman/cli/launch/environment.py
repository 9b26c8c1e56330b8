"""The environment in which Claude Code works with a local model: one table, and a reason for each line of it.

What each does was seen with the real client, against a server that kept what came (docs/clients/claude-code.md says how); only
that the last four keep it quiet could not be, where there is no other network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LARGEST_OUTPUT = 32_000
"""Tokens: what the client itself asks for where it does not know the model."""
_SMALLEST_OUTPUT = 2_048
_OUTPUT_SHARE = 8
"""The client sets a whole answer aside, up to `_LARGEST_RESERVE`, and compacts that much earlier: an eighth is for answers."""
_LARGEST_RESERVE = 20_000
_COMPACTION_RESERVE = 13_000
"""Tokens below window and reserve at which the client compacts, however small the window is."""
PROMPT = 13_000
"""Tokens that the client's own prompt takes before anybody has said a word: 49 kB, without MCP servers and CLAUDE.md."""
COMFORTABLE = 48_000
"""Tokens of window from which on it compacts by itself, and has room for work in between (`Target.is_cramped`)."""
_LARGEST_FILE = 25_000
"""Tokens of a file that one reading brings: the client's own bound."""
_LARGEST_RESULT = 30_000
"""Characters that a command brings: likewise."""
_RESULT_SHARE = 4
"""No file and no command gets more than a quarter of the window."""
_PATIENCE_MS = 30 * 60_000
"""The longest silence that the client can be made to bear."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")

NO_KEY = "none"
"""What stands in the place of a key where the server wants none: without any, the client says that nobody is logged in."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the client is to work with. `window` is in tokens, for prompt and answer together; None where nobody knows it."""

    url: str
    model: str
    window: int | None
    key: str = NO_KEY

    @classmethod
    def of(cls, url: str, model: str, window: int | None, key: str | None) -> "Target":
        """Likewise, where there may be no key."""
        return cls(url, model, window, key or NO_KEY)

    @property
    def output(self) -> int:
        """The longest answer to ask for, in tokens. The server cuts it to the room that is left."""
        window = self.window or LARGEST_OUTPUT * _OUTPUT_SHARE
        return max(_SMALLEST_OUTPUT, min(LARGEST_OUTPUT, window // _OUTPUT_SHARE))

    @property
    def compacts_at(self) -> int | None:
        """The length in tokens at which the client would compact a conversation by itself."""
        return None if self.window is None else self.window - min(self.output, _LARGEST_RESERVE) - _COMPACTION_RESERVE

    @property
    def is_cramped(self) -> bool:
        """Would the client compact when it has hardly begun? Then it had better wait until the server refuses a prompt."""
        return self.compacts_at is not None and self.compacts_at < 2 * PROMPT

    @property
    def largest_file(self) -> int:
        """Tokens of a file that one reading may bring: a result that no window holds ends a conversation for good."""
        return _LARGEST_FILE if self.window is None else max(1_000, min(_LARGEST_FILE, self.window // _RESULT_SHARE))

    @property
    def largest_result(self) -> int:
        """Characters that a command may bring, the rest staying in a file. Numbers and code are some two to a token."""
        return _LARGEST_RESULT if self.window is None else max(2_000, min(_LARGEST_RESULT, 2 * self.window // _RESULT_SHARE))


@dataclass(frozen=True, slots=True)
class Variable:
    """`value` gives None where the variable is not to be set."""

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
    Variable("ANTHROPIC_DEFAULT_SONNET_MODEL", _model, "of those that request sonnet"),
    Variable("ANTHROPIC_DEFAULT_HAIKU_MODEL", _model, "of those that request haiku, and of small side requests"),
    Variable("ANTHROPIC_DEFAULT_FABLE_MODEL", _model, "of those that request fable"),
    Variable("CLAUDE_CODE_SUBAGENT_MODEL", _model, "of agents that request no model"),
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
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS", lambda target: str(target.output), "the longest answer, for which it reserves room"
    ),
    Variable(
        "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS",
        lambda target: str(target.largest_file),
        "a file that is read must not fill the window",
    ),
    Variable("BASH_MAX_OUTPUT_LENGTH", lambda target: str(target.largest_result), "nor the output of a command"),
    Variable("API_TIMEOUT_MS", lambda _: str(_PATIENCE_MS), "a whole request may take half an hour"),
    Variable(
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
        lambda _: str(_PATIENCE_MS),
        "a silent stream is abandoned after as long, not after five minutes",
    ),
    Variable(
        "CLAUDE_CODE_ATTRIBUTION_HEADER",
        lambda _: "0",
        "no attribution line, which differs in each conversation, at the top of the prompt",
    ),
    Variable("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", _on, "no requests to other servers"),
    Variable("DISABLE_TELEMETRY", _on, "likewise"),
    Variable("DISABLE_ERROR_REPORTING", _on, "likewise"),
    Variable("DISABLE_AUTOUPDATER", _on, "likewise"),
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
"""What the user's shell may hold, and must not reach the client: the reason for each."""


def variables(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """What is set, in the order of the table, for a client whose user's shell has `given`."""
    found = {variable.name: variable.value(target) for variable in VARIABLES}
    return {name: value for name, value in found.items() if value is not None} | _past_proxies(target, given)


def _past_proxies(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """The client would ask the user's proxy for this very machine, unless it is told not to."""
    host = urlsplit(target.url).hostname
    if host not in LOOPBACK or not any(name.lower() in _PROXIES for name in given):
        return {}
    spared = ",".join(filter(None, (given.get("NO_PROXY") or given.get("no_proxy"), host)))
    return {"NO_PROXY": spared, "no_proxy": spared}


def removed(given: Mapping[str, str]) -> list[str]:
    """Which of the variables that are `given` must not reach the client."""
    return [name for name in REMOVED if name in given]


def environment(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the client, made from the one that was `given`."""
    return {name: value for name, value in given.items() if name not in REMOVED} | variables(target, given)
