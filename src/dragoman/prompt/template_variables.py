"""Template variables: the defaults for every template, and those for thinking and effort."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_VARIABLES: Mapping[str, Any] = {
    "preserve_thinking": True,
    "clear_thinking": False,
    "drop_thinking": False,
    "keep_past_thinking": True,
    "truncate_history_thinking": False,
    "functions": "",
    "datetime": "",
}
"""Passed to every template. The first five make some templates keep the reasoning of earlier turns, so that prompts stay
append-only; some templates fail without the last two."""


@dataclass(frozen=True, slots=True)
class ThinkingVariable:
    """The variable that turns thinking on and off. `default` is the template's behaviour without it, None if it is neither."""

    variable: str
    on: Any = True
    off: Any = False
    default: bool | None = None

    def variables(self, enabled: bool) -> dict[str, Any]:
        """The variables for one rendering."""
        return {self.variable: self.on if enabled else self.off}


@dataclass(frozen=True, slots=True)
class EffortVariable:
    """The variable for the effort. `values` maps the levels of the API; a missing level sets no variable."""

    variable: str
    values: Mapping[str, str]

    def variables(self, level: str | None) -> dict[str, Any]:
        """The variables for one rendering."""
        return {self.variable: self.values[level]} if level and level in self.values else {}
