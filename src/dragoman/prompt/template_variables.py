"""Variables that a chat template is given: the defaults for every template, and those for thinking and effort."""

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
"""Given to every template. With the first five, some templates keep the reasoning of earlier turns, so that prompts stay
append-only; without the last two, some do not run."""


@dataclass(frozen=True, slots=True)
class ThinkingVariable:
    """The variable that turns thinking on and off. `default` is what the template does without it, None if that is neither."""

    variable: str
    on: Any = True
    off: Any = False
    default: bool | None = None

    def variables(self, enabled: bool) -> dict[str, Any]:
        """The variables of a render."""
        return {self.variable: self.on if enabled else self.off}


@dataclass(frozen=True, slots=True)
class EffortVariable:
    """The variable for the effort. `values` maps the levels of the API; a level that is missing sets no variable."""

    variable: str
    values: Mapping[str, str]

    def variables(self, level: str | None) -> dict[str, Any]:
        """The variables of a render."""
        return {self.variable: self.values[level]} if level and level in self.values else {}
