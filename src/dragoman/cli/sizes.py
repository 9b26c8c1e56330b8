"""Numbers of bytes on the command line, such as `10GB`."""

import re
from typing import Final

import click

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT]?)B?)", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes, such as `500MB` or `10GB`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number and its unit, a power of 1000."""
        size = parsed(str(value))
        if size is None:
            self.fail(f"{value!r} is not a size such as 500MB or 10GB", param, ctx)
        return size


def parsed(text: str) -> int | None:
    """The number of bytes that a text with a unit names, None if it names none."""
    found = _SIZE.fullmatch(text.strip())
    return round(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else None


def shown(size: int) -> str:
    """The size with a unit, for people."""
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size >= _UNITS[unit] or not unit)
    amount = f"{size / _UNITS[unit]:.1f}" if unit else str(size)
    return f"{amount} {unit}B"
