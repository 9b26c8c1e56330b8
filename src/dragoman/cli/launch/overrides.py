"""Finds the user's own values: variables of the shell, which are replaced for this run, and settings, which take precedence."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dragoman.cli.launch.environment import REMOVED, VARIABLES

_SETTINGS = "settings.json"
_OURS = {variable.name for variable in VARIABLES} | REMOVED.keys()
_HELPER = "apiKeyHelper"


def replaced(given: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[str]:
    """A line for each of the user's variables that gets another value or is removed."""
    for name in sorted(_OURS & given.keys()):
        if given[name] and given[name] != ours.get(name):
            how = "has another value" if name in ours else f"is removed ({REMOVED.get(name, 'it has no value')})"
            yield f"{name} {how} in this run"


def overriding(given: Mapping[str, str], project: Path, ours: Mapping[str, str]) -> Iterator[str]:
    """A line for each setting in a file that takes precedence over the client's environment."""
    for path in settings_files(given, project):
        settings = _read(path)
        inner = settings.get("env")
        for name, value in inner.items() if isinstance(inner, dict) else ():
            if name in _OURS and str(value) != ours.get(name):
                yield f"{path} sets {name} in its env, which takes precedence in Claude Code: remove it there"
        if settings.get(_HELPER):
            yield f"{path} has an {_HELPER}: its key is sent to the server, too"


def settings_files(given: Mapping[str, str], project: Path) -> list[Path]:
    """The paths where the client looks for settings, whether they exist or not."""
    home = Path(given.get("CLAUDE_CONFIG_DIR") or Path(given.get("HOME") or Path.home()) / ".claude")
    own = project / ".claude"
    return [_managed(), home / _SETTINGS, own / _SETTINGS, own / "settings.local.json"]


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
