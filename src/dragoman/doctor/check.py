"""Defines a check, its outcome and its result."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from dragoman.doctor.client import Client

CheckFunction = Callable[[Client], Awaitable[None]]


class Outcome(StrEnum):
    """The outcome of a check."""

    PASS = "pass"  # noqa: S105 -- not a password
    FAIL = "fail"
    SKIP = "skip"  # nothing to judge: the model does not think, the machine is too fast
    DEFECT = "defect"  # the check itself failed, which says nothing about the server


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one feature. `run` returns if the server has it, raises `CheckFailed` if not and `Skip` if that is unknown.

    `title` says what is true if the check passes, `why` why that matters; `clauses` are ids of the contract.
    """

    id: str
    subject: str
    title: str
    why: str
    clauses: tuple[str, ...]
    run: CheckFunction


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check; `reason` is one line, empty if it passed. `seconds` is its duration."""

    check: Check
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Subject:
    """The checks of one file, in the order of the file."""

    name: str
    checks: list[Check] = field(default_factory=list)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def check(self, title: str, why: str, *clauses: str) -> Callable[[CheckFunction], CheckFunction]:
        """A decorator that makes a coroutine function a check; its name, with hyphens, is the id."""

        def register(run: CheckFunction) -> CheckFunction:
            name = run.__name__.replace("_", "-")
            self.checks.append(Check(name, self.name, title, why, clauses, run))
            return run

        return register
