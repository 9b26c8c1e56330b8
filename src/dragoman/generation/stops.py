"""Finds stop sequences in visible text.

The sequence that is complete first ends the answer; of several that are complete at the same character, the longest is
reported. Text that may still become a stop sequence is held back, so that no sent text has to be taken back. The result does
not depend on how the text was split into chunks.

The scanner is an Aho-Corasick automaton whose states are made when they are first reached. A new answer therefore costs only
the sorting of its sequences, and the work per character does not depend on how many sequences there are.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class Scanned(NamedTuple):
    """The result of a scan: `visible` may be sent; after a `matched` stop sequence, no text may be fed."""

    visible: str
    matched: str | None = None


class StopScanner:
    """Scans one answer, for at least one sequence. The work per chunk depends on its length only, not on the sequences."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._automaton = _Automaton(sequences)
        self._state = self._automaton.root

    def feed(self, text: str) -> Scanned:
        """Scan the next text, and return the text that cannot be part of a stop sequence any more."""
        before = self._state
        state, end = self._automaton.run(before, text)
        if state.found:
            self._state = self._automaton.root
            held = self._automaton.spelled(before)
            return Scanned((held + text[:end])[: before.depth + end - len(state.found)], state.found)
        self._state = state
        cut = before.depth + len(text) - state.depth
        return Scanned((self._automaton.spelled(before) + text)[:cut] if cut else "")

    def flush(self) -> str:
        """Return the text that was held back, at the end of the text."""
        held, self._state = self._automaton.spelled(self._state), self._automaton.root
        return held


class _State:
    """A state: the longest suffix of the text so far that is a prefix of a sequence.

    It has `depth` characters, and the sorted sequences from `low` up to `high` begin with it. `shorter` is the state of the
    next shorter such suffix, `found` the longest sequence that the text ends with, and `moves` are the next states.
    """

    __slots__ = ("depth", "found", "high", "low", "moves", "shorter")

    def __init__(self, low: int, high: int, depth: int) -> None:
        self.low, self.high, self.depth = low, high, depth
        self.shorter: _State | None = None
        self.found = ""
        self.moves: dict[str, _State | None] = {}


class _Automaton:
    """The states for a set of sequences. In the state `root`, nothing is held back."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sorted(set(sequences))
        self.root = _State(0, len(self._sequences), 0)
        firsts = dict.fromkeys(sequence[0] for sequence in self._sequences)
        self._first = re.compile(f"[{''.join(map(re.escape, firsts))}]")

    def spelled(self, state: _State) -> str:
        """Return the text that a state holds back."""
        return self._sequences[state.low][: state.depth]

    def run(self, state: _State, text: str) -> tuple[_State, int]:
        """Read `text` until a sequence is complete. Returns the state and the number of characters read."""
        position, length = 0, len(text)
        while position < length:
            if state is self.root:
                beginning = self._first.search(text, position)
                if beginning is None:
                    return state, length
                position = beginning.start()
            state = self._next(state, text[position])
            position += 1
            if state.found:
                break
        return state, position

    def _next(self, state: _State, character: str) -> _State:
        at: _State | None = state
        while at is not None:
            following = self._move(at, character)
            if following is not None:
                self._complete(following, at, character)
                return following
            at = at.shorter
        return self.root

    def _complete(self, state: _State, parent: _State, character: str) -> None:
        """Set `shorter` and `found` of a new state and of the new ones among its shorter suffixes."""
        made = []
        while state.shorter is None and state is not self.root:
            at, following = parent.shorter, None
            while at is not None and (following := self._move(at, character)) is None:
                at = at.shorter
            state.shorter = following or self.root
            made.append(state)
            if at is None:
                break
            state, parent = state.shorter, at
        for new in reversed(made):
            first = self._sequences[new.low]
            shorter = new.shorter
            new.found = first if len(first) == new.depth else shorter.found if shorter else ""

    def _move(self, state: _State, character: str) -> _State | None:
        """Return the state after one more character; None if no sequence continues with it."""
        if character in state.moves:
            return state.moves[character]
        depth, sequences = state.depth, self._sequences
        low, high = state.low, state.high
        low += len(sequences[low]) == depth  # the shortest ends here
        start = bisect_left(sequences, character, low, high, key=lambda sequence: sequence[depth])
        end = bisect_right(sequences, character, start, high, key=lambda sequence: sequence[depth])
        following = _State(start, end, depth + 1) if start < end else None
        state.moves[character] = following
        return following
