"""Says why the engine's cache could not be reused since an earlier answer (CACHE-5).

Of the newest answers whose clients ask for it, the prompt is remembered with digests of the parts that it was made from, by the
id of the answer. If the next prompt does not begin with it, the first part of the request that changed is the reason.
"""

from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dragoman.observability.prefix_tracker import Place, Trail
from dragoman.prefix import common_prefix_length, packed
from dragoman.prompt.builder import Prompt

_REMEMBERED = 64
_OPENING = 64
"""Tokens at the end of a prompt that may change once the answer follows: templates open an answer in another way."""


class Reason(StrEnum):
    """The reasons, by the names of the API."""

    MODEL = "model_changed"
    SYSTEM = "system_changed"
    TOOLS = "tools_changed"
    MESSAGES = "messages_changed"
    NOT_FOUND = "previous_message_not_found"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """Why the cache missed, and how many tokens of the earlier prompt were not reused."""

    reason: Reason
    tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A prompt that was sent to a model."""

    model: str
    trail: Trail
    tokens: "array[int]"

    @classmethod
    def of(cls, model: str, trail: Trail, prompt: Prompt) -> "Sent":
        """The prompt of a model."""
        return cls(model, trail, packed(prompt.tokens))


class SentPrompts:
    """The newest prompts of all models, by the ids of their answers."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Sent] = OrderedDict()

    def follow(self, previous: str, message_id: str, sent: Sent) -> CacheMiss | None:
        """Remember a prompt, and return why it does not begin with that of an earlier answer; None if it does.

        `previous` is the id of the earlier answer, empty if there is none.
        """
        earlier = self._known.get(previous)
        self._known[message_id] = sent
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if not previous:
            return None
        return CacheMiss(Reason.NOT_FOUND) if earlier is None else _miss(sent, earlier)


def _miss(new: Sent, old: Sent) -> CacheMiss | None:
    if new.model != old.model:
        return CacheMiss(Reason.MODEL, len(old.tokens))
    missed = len(old.tokens) - common_prefix_length(new.tokens, old.tokens)
    if not missed:
        return None
    for place, reason in _PLACES.items():
        if _changed(_parts(new.trail, place), _parts(old.trail, place), may_grow=place is Place.TURN):
            return CacheMiss(reason, missed)
    return CacheMiss(Reason.UNAVAILABLE) if missed > _OPENING else None


_PLACES: Mapping[Place, Reason] = {Place.SYSTEM: Reason.SYSTEM, Place.TOOLS: Reason.TOOLS, Place.TURN: Reason.MESSAGES}


def _parts(trail: Trail, place: Place) -> list[tuple[str, bytes]]:
    return [(name, part.value) for name, part in trail.parts.items() if part.place is place]


def _changed(new: list[tuple[str, bytes]], old: list[tuple[str, bytes]], *, may_grow: bool) -> bool:
    """Whether parts changed; more parts at the end are not a change if there `may_grow` some."""
    return new[: len(old)] != old if may_grow else new != old
