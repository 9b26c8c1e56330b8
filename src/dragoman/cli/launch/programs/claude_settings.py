"""The settings files of Claude Code, whose `env` takes precedence over its environment."""

import json
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from dragoman.cli.launch.program import User

_SETTINGS = "settings.json"
_HELPER = "apiKeyHelper"


def overriding(user: User, ours: Mapping[str, str], names: AbstractSet[str]) -> Iterator[str]:
    """A line for each setting in a file that gives one of `names` another value than `ours`."""
    for path in _files(user):
        settings = _read(path)
        inner = settings.get("env")
        for name, value in inner.items() if isinstance(inner, dict) else ():
            if name in names and str(value) != ours.get(name):
                yield f"{path} sets {name} in its env, which takes precedence in Claude Code: remove it there"
        if settings.get(_HELPER):
            yield f"{path} has an {_HELPER}: its key is sent to the server, too"


def _files(user: User) -> list[Path]:
    """The paths where the client looks for settings, whether they exist or not."""
    own = user.project / ".claude"
    return [_managed(), user.folder("CLAUDE_CONFIG_DIR", ".claude") / _SETTINGS, own / _SETTINGS, own / "settings.local.json"]


def _managed() -> Path:
    if sys.platform == "darwin":
        return Path("/Library/Application Support/ClaudeCode/managed-settings.json")
    if sys.platform == "win32":
        return Path("C:/Program Files/ClaudeCode/managed-settings.json")
    return Path("/etc/claude-code/managed-settings.json")


def _read(path: Path) -> dict[str, Any]:
    """The settings in a file; empty if it is missing or unreadable."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
