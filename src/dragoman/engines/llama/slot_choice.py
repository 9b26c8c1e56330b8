"""Chooses the llama.cpp slot for a request.

By default the server gives a request the idle slot with the longest common prefix, even if that overwrites another
conversation. And it prefills prompts in the order of slot numbers: one in the last slot waits until all others are done. Hence:

- A request that continues the contents of a slot gets that slot: nothing is lost. A short one gets one before the first busy
  slot instead, if it can: to read it again takes less time than to wait for a long prompt.
- A request with a short prompt, a title or a probe, gets a slot without a long prompt: where there are enough slots, slot 0,
  which is reserved for them and comes first at every step.
- So does a new conversation: the lowest of the other slots. So the prompt that came first is prefilled first, and an agent's
  next request does not wait for the prompts of all its sub-agents.
- A request of whose prompt more is saved on disk than any slot or copy has gets a slot whose contents matter least: one without
  a long prompt, or the one that was idle for longest. What is saved is restored there first.
- A request of a batch has no next turn: what it leaves in its slot is only of use to requests that share a good part of it.
  These get that slot, whatever follows in it, and all others take such a slot before that of a conversation.
- In every other case the server chooses: the slot that was idle for longest, if it is configured to ignore common prefixes
  (`slot_prompt_similarity` 0). It saves a copy of the slot's contents, and restores the copy that helps most.

Sans-IO. The contents of a slot are known from the prompts that were sent to it, so the server must have no other clients.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from dragoman.engines.base import FEWEST_WITH_RESERVED_SLOT, SHORT_PROMPT
from dragoman.prefix import common_prefix_length, packed

_KEPT: Final = 0.95
"""The share of a slot's contents that a prompt must begin with for the slot to be reused."""
_SHARED: Final = 0.5
"""The share of a prompt that the contents of a slot without a next turn must begin with for the slot to be reused."""
_COPIED: Final = 0.25
"""llama.cpp does not restore a copy of which less than this share would be kept."""
_REMEMBERED: Final = 32
_WORTH_RESTORING: Final = 128
"""How many tokens more than any slot or copy has must be saved on disk, so that to read them again would take longer."""


class SlotLease(Struct, frozen=True):
    """The slot of a request. `named`: the request names the slot; otherwise `slot` is the one that the server should choose.

    `flush` is a slot for a cache-flush request, a request of one token that is sent first: the server copies idle slots when a
    request starts, not when one ends, and here a copy is wanted of the slot that ended last.
    `restores`: what is saved on disk of the prompt is to be restored in the slot first. `takes`: the slot had a long prompt
    that this one does not continue. `continued`: the prompt itself may be continued by another one.
    """

    slot: int
    named: bool
    flush: int | None = None
    restores: bool = False
    takes: bool = False
    continued: bool = True


class SlotChoice:
    """Tracks the slots of one server and leases them to requests."""

    def __init__(self, count: int) -> None:
        self._reserved = 0 if count >= FEWEST_WITH_RESERVED_SLOT else None
        self._contents = dict.fromkeys(range(count), array("I"))
        self._idle = list(reversed(range(count)))  # idle for longest first; the server begins with the last
        self._finished: set[int] = set()  # slots whose contents have no next turn
        self._uncopied: set[int] = set()
        self._evicted: deque[array[int]] = deque(maxlen=_REMEMBERED)

    @property
    def conversations(self) -> int:
        """The number of slots with the long prompt of a conversation."""
        return sum(not self._is_disposable(slot) for slot in self._contents)

    def lease(self, tokens: Sequence[int], saved: int = 0, *, continued: bool = True) -> SlotLease:
        """Lease a slot for a prompt, until `release`. There must be no more leases at once than slots.

        `saved` is how many of the prompt's tokens are saved on disk. `continued`: it may have a next turn.
        """
        prompt = packed(tokens)
        lease = self._choose_restored(prompt) if self._is_worth_restoring(prompt, saved) else self._choose_idle(prompt)
        self._idle.remove(lease.slot)
        if lease.flush is not None:
            self._idle.remove(lease.flush)
            self._idle.append(lease.flush)
        before, self._contents[lease.slot] = self._contents[lease.slot], prompt
        takes = len(before) > SHORT_PROMPT and lease.slot not in self._finished and _kept_share(before, prompt) < _KEPT
        if takes and not (lease.restores and lease.slot in self._uncopied):
            self._evicted.append(before)
        self._uncopied.clear()
        self._finished.discard(lease.slot)
        if not continued:
            self._finished.add(lease.slot)
        return replace(lease, takes=takes, continued=continued)

    def release(self, lease: SlotLease) -> None:
        """End the lease."""
        self._idle.append(lease.slot)
        self._uncopied.add(lease.slot)

    def _is_worth_restoring(self, prompt: "array[int]", saved: int) -> bool:
        held = (
            common_prefix_length(other, prompt) for other in (*self._evicted, *map(self._contents.get, self._idle)) if other
        )
        return saved - max(held, default=0) >= _WORTH_RESTORING

    def _choose_restored(self, prompt: "array[int]") -> SlotLease:
        choices = [slot for slot in self._idle if slot != self._reserved or len(prompt) <= SHORT_PROMPT] or self._idle
        disposable = [slot for slot in choices if self._is_disposable(slot)]
        return SlotLease(min(disposable, default=choices[0]), named=True, restores=True)

    def _choose_idle(self, prompt: "array[int]") -> SlotLease:
        named = self._choose(prompt)
        if named is None:
            return SlotLease(self._idle[0], named=False, flush=self._slot_to_flush(prompt))
        return SlotLease(named, named=True)

    def _choose(self, prompt: "array[int]") -> int | None:
        short = len(prompt) <= SHORT_PROMPT
        continued = [slot for slot in self._idle if self._is_continued(slot, prompt) and (short or slot != self._reserved)]
        disposable = [slot for slot in self._idle if len(self._contents[slot]) <= SHORT_PROMPT]
        if short:
            busy = min(self._contents.keys() - self._idle, default=len(self._contents))
            kept = {slot: len(self._contents[slot]) for slot in continued}
            return min({*continued, *disposable}, key=lambda slot: (slot > busy, -kept.get(slot, 0), slot), default=None)
        if continued:
            return max(continued, key=lambda slot: common_prefix_length(self._contents[slot], prompt))
        others = [other for other in (*self._evicted, *self._contents.values()) if len(other) > SHORT_PROMPT]
        copy = max((_kept_share(other, prompt) for other in others), default=0)
        ordinary = [slot for slot in disposable if slot != self._reserved]
        if copy < _COPIED and ordinary:
            return min(ordinary)
        if copy < _COPIED and (finished := [slot for slot in self._idle if slot in self._finished and slot != self._reserved]):
            return finished[0]
        if copy < _KEPT and self._idle[0] == self._reserved and len(self._idle) > 1:
            return self._idle[1]  # a long prefill, which in the reserved slot would come before all others
        return None

    def _is_continued(self, slot: int, prompt: "array[int]") -> bool:
        """Whether a prompt begins with enough of a slot's contents to get that slot."""
        contents = self._contents[slot]
        if slot in self._finished and common_prefix_length(contents, prompt) >= _SHARED * len(prompt):
            return True
        return _kept_share(contents, prompt) >= _KEPT

    def _is_disposable(self, slot: int) -> bool:
        return len(self._contents[slot]) <= SHORT_PROMPT or slot in self._finished

    def _slot_to_flush(self, prompt: "array[int]") -> int | None:
        expected, *others = self._idle
        if all(slot == expected or _kept_share(self._contents[slot], prompt) < _COPIED for slot in self._uncopied):
            return None
        return min((slot for slot in others if len(self._contents[slot]) <= SHORT_PROMPT), default=None)


def _kept_share(contents: "array[int]", prompt: "array[int]") -> float:
    """The share of the slot's contents that the prompt begins with."""
    return common_prefix_length(contents, prompt) / len(contents) if contents else 0
