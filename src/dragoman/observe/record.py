"""The record of a request, filled in on its way, and its one line in the log."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dragoman.errors import DragomanError
from dragoman.parts import Ending, Part, Prefill, Tally

_LOG = logging.getLogger("dragoman.request")


@dataclass(slots=True)
class Record:
    """Times are seconds on the monotonic clock since the request came in; None for what did not happen."""

    request_id: str
    method: str
    path: str
    model: str = ""
    stream: bool = False
    status: int = 0
    tally: Tally | None = None
    queued: float | None = None
    first_token: float | None = None
    ending: str = ""
    diverged: str = ""
    notes: Sequence[str] = ()
    repairs: Sequence[str] = ()
    broken: Sequence[str] = ()
    unknown: Sequence[str] = ()
    _began: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the request came in."""
        return time.monotonic() - self._began

    def note(self, part: Part) -> None:
        """Note what is worth a word in the log: the first part that says something, and the ending."""
        if self.first_token is None and type(part) is not Prefill:
            self.first_token = self.age
        if type(part) is Ending:
            self.ending = part.reason.value

    def fail(self, error: Exception) -> None:
        """Note how it failed. A defect of ours is told in full, once, here and nowhere else."""
        self.ending = f"{type(error).__name__}: {error}"
        if not isinstance(error, DragomanError):
            _LOG.error("%s failed", self.request_id, exc_info=error)

    def log(self) -> None:
        """Write the line."""
        _LOG.info("%s", self)

    def __str__(self) -> str:
        words = [self.request_id, self.method, self.path, str(self.status)]
        if self.model:
            words.append(f"model={self.model}")
        if self.stream:
            words.append("stream")
        if self.tally is not None:
            words.append(f"prompt={self.tally.prompt} cached={self.tally.cached} output={self.tally.output}")
        if self.tally is not None and self.tally.thinking:
            words.append(f"thinking={self.tally.thinking}")
        if self.queued is not None:
            words.append(f"queued={self.queued:.3f}s")
        if self.first_token is not None:
            words.append(f"first={self.first_token:.3f}s")
        words.append(f"took={self.age:.3f}s")
        if self.ending:
            words.append(self.ending)
        for label, items in (
            ("diverged at ", [self.diverged] if self.diverged else ()),
            ("", self.notes),
            ("repaired: ", self.repairs),
            ("not as promised: ", self.broken),
            ("unknown: ", self.unknown),
        ):
            if items:
                words.append(f"[{label}{'; '.join(items)}]")
        return " ".join(words)
