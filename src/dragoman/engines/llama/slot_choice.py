"""Which of llama.cpp's slots a job should have.

By itself the server gives a job the idle slot with the longest common prefix, whoever's conversation that overwrites. And it
reads prompts in the order of slot numbers: one in the last slot waits until all the others have been read to their end. Hence:

- A job that goes on from what a slot holds has that slot: nothing is lost.
- A short one, a title or a probe, has a slot that holds nothing of worth: where there are enough, slot 0, which is kept for
  them and comes first at every step.
- So has a new conversation, of the others the lowest. So whoever came first is read first, and an agent's next turn does not
  wait for all that its sub-agents have to read.
- In every other case the server chooses: the slot that was idle for longest, if it was told to look for nothing else
  (`slot_prompt_similarity` 0). It puts a copy of what is in there aside, and brings back the copy that helps most.

Sans-IO. What a slot holds is known from the prompts that were sent to it, so nobody else may use the server.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from dragoman.engines.base import FEWEST_WITH_A_SPARE, SHORT_PROMPT
from dragoman.prefix import common_prefix_length

_KEPT: Final = 0.95
"""The share of what a slot holds that a job must go on from, for the rest not to be missed."""
_COPIED: Final = 0.25
"""llama.cpp brings back no copy of which less than this would be kept."""
_REMEMBERED: Final = 32


class SlotLease(Struct, frozen=True):
    """A job's place. `named`: the server is told; otherwise `slot` is the one that it is expected to take.

    `nudge` is a slot for a job of one token, to be done first: the server copies what is idle when a job begins, not when one
    ends, and here a copy is wanted of what ended last.
    """

    slot: int
    named: bool
    request_cache_flush: int | None = None


class SlotChoice:
    """The slots of one server, as far as they are known."""

    def __init__(self, count: int) -> None:
        self._spare = 0 if count >= FEWEST_WITH_A_SPARE else None
        self._held = dict.fromkeys(range(count), array("I"))
        self._idle = list(reversed(range(count)))  # idle for longest first; the server begins with the last
        self._uncopied: set[int] = set()
        self._pushed_out: deque[array[int]] = deque(maxlen=_REMEMBERED)

    def take(self, tokens: Sequence[int]) -> SlotLease:
        """A place for a prompt, to be left when its job is over. No more may be taken than there are slots."""
        prompt = array("I", tokens)
        named = self._choose(prompt)
        seat = (
            SlotLease(self._idle[0], named=False, request_cache_flush=self._nudge(prompt))
            if named is None
            else SlotLease(named, named=True)
        )
        self._idle.remove(seat.slot)
        if seat.request_cache_flush is not None:
            self._idle.remove(seat.request_cache_flush)
            self._idle.append(seat.request_cache_flush)
        self._uncopied.clear()
        before, self._held[seat.slot] = self._held[seat.slot], prompt
        if len(before) > SHORT_PROMPT and _kept(before, prompt) < _KEPT:
            self._pushed_out.append(before)
        return seat

    def leave(self, seat: SlotLease) -> None:
        """The job is over."""
        self._idle.append(seat.slot)
        self._uncopied.add(seat.slot)

    def _choose(self, prompt: "array[int]") -> int | None:
        short = len(prompt) <= SHORT_PROMPT
        going_on = [slot for slot in self._idle if _kept(self._held[slot], prompt) >= _KEPT and (short or slot != self._spare)]
        if going_on:
            return max(going_on, key=lambda slot: len(self._held[slot]))
        worthless = [slot for slot in self._idle if len(self._held[slot]) <= SHORT_PROMPT]
        if short:
            return min(worthless, default=None)
        others = [other for other in (*self._pushed_out, *self._held.values()) if len(other) > SHORT_PROMPT]
        copy = max((_kept(other, prompt) for other in others), default=0)
        ordinary = [slot for slot in worthless if slot != self._spare]
        if copy < _COPIED and ordinary:
            return min(ordinary)
        if copy < _KEPT and self._idle[0] == self._spare and len(self._idle) > 1:
            return self._idle[1]  # much is left to read, and in the spare slot it would be read before all else
        return None

    def _nudge(self, prompt: "array[int]") -> int | None:
        expected, *others = self._idle
        if all(slot == expected or _kept(self._held[slot], prompt) < _COPIED for slot in self._uncopied):
            return None
        return min((slot for slot in others if len(self._held[slot]) <= SHORT_PROMPT), default=None)


def _kept(held: "array[int]", prompt: "array[int]") -> float:
    """The share of what is held that the prompt begins with."""
    return common_prefix_length(held, prompt) / len(held) if held else 0
