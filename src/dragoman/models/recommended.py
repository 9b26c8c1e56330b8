"""The models that are recommended to a user who names none, from `recommended.toml`."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recommended:
    """A model as the command line names it; `size` of its file and `memory` that it takes are in gigabytes (10⁹ bytes)."""

    name: str
    size: float
    memory: float


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The models, the smallest first, as of a date."""

    date: date
    models: Sequence[Recommended]

    def fitting(self, memory: int) -> Sequence[Recommended]:
        """The models that fit into `memory` bytes, the largest first."""
        return [model for model in reversed(self.models) if model.memory * 1e9 <= memory]


def recommendations() -> Recommendations:
    """Read the table."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return Recommendations(table["date"], [Recommended(**model) for model in table["models"]])
