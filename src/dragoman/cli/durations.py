"""Durations on the command line, such as `5m`."""

import re
from typing import Final

import click

NEVER: Final = "never"
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?) ?([smhd]?)", re.IGNORECASE)


class KeepAlive(click.ParamType[float | None]):
    """Seconds of idleness, such as `5m`; None for `never`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Read the number and its unit."""
        try:
            return parse_keep_alive(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_keep_alive(text: str) -> float | None:
    """The seconds that a text such as `5m` names, None for `never`. Raises `ValueError`."""
    if text.strip().lower() == NEVER:
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 2h, or {NEVER}")
    return float(found[1]) * _SECONDS[found[2].lower()]


def shown_duration(seconds: float) -> str:
    """The duration with its largest unit, for people."""
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds >= _SECONDS[unit] or unit == "s")
    return f"{seconds / _SECONDS[unit]:.0f}{unit}"
