"""Stop sequences on visible text.

The sequence that is complete first ends the turn; of several that are complete at the same character, the longest is
reported. Text that may still become a stop sequence is held back, so nothing is ever sent and taken back. What is found does
not depend on how the text was cut into pieces.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Scanned(NamedTuple):
    """`visible` may be sent. `matched` is the stop sequence that was found; nothing may be fed after it."""

    visible: str
    matched: str | None = None


class StopScanner:
    """Scans one turn. Work per piece is bounded by the length of the piece and of the stop sequences."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences
        self._held = ""

    def feed(self, text: str) -> Scanned:
        """Take the next text; give what can be no part of a stop sequence any more."""
        if not self._sequences:
            return Scanned(text)
        buffer = self._held + text
        found = [
            (buffer.find(sequence) + len(sequence), -len(sequence), sequence)
            for sequence in self._sequences
            if sequence in buffer
        ]
        if found:
            end, length, matched = min(found)
            self._held = ""
            return Scanned(buffer[: end + length], matched)
        kept = max(_overlap(buffer, sequence) for sequence in self._sequences)
        cut = len(buffer) - kept
        self._held = buffer[cut:]
        return Scanned(buffer[:cut])

    def flush(self) -> str:
        """Give what was held: no more text comes to complete it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, sequence: str) -> int:
    """The length of the longest end of `text` that is a beginning of `sequence`, but not all of it."""
    start = text.find(sequence[0], max(0, len(text) - len(sequence) + 1))
    while start >= 0:
        if sequence.startswith(text[start:]):
            return len(text) - start
        start = text.find(sequence[0], start + 1)
    return 0
