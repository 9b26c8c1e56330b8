"""What a check is, and how it can end."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from dragoman.doctor.client import Client

Examination = Callable[[Client], Awaitable[None]]


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 -- no password
    FAIL = "fail"
    SKIP = "skip"  # there was nothing to judge: the model does not think, the machine is too fast
    DEFECT = "defect"  # the check itself broke, and says nothing of the server


@dataclass(frozen=True, slots=True)
class Check:
    """One feature. `run` returns where it is there, raises `CheckFailed` where it is not, `Skip` where that cannot be told.

    `title` says what is true where it passes, `why` why that matters; `clauses` are those of the contract.
    """

    id: str
    subject: str
    title: str
    why: str
    clauses: tuple[str, ...]
    run: Examination


@dataclass(frozen=True, slots=True)
class Result:
    """How it went; `reason` is one line, empty where the check passed. `seconds` is what it took."""

    check: Check
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Subject:
    """The checks of one file, in the order in which they stand there."""

    name: str
    checks: list[Check] = field(default_factory=list)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def check(self, title: str, why: str, *clauses: str) -> Callable[[Examination], Examination]:
        """Make a coroutine function a check; its name, with hyphens, is the id."""

        def register(run: Examination) -> Examination:
            name = run.__name__.replace("_", "-")
            self.checks.append(Check(name, self.name, title, why, clauses, run))
            return run

        return register
