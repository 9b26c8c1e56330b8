"""A model that goes round in circles: small ones do, in text, in thoughts and in the arguments of calls."""

import re

_NUMBER = re.compile(r"[0-9]+")
_EVERY = 256
_KEPT = 8192
_PROBE = 24
_LEAST = 4


class Repetition:
    """Listens to what a model writes. `stretch`: how many characters at the end are one thing over and over, 0 if none.

    `counted` is the same where numbers that differ count as one. Something has to stand there four times to count. It is
    looked for every 256 characters, in the last 8,192.
    """

    __slots__ = ("_counted", "_fresh", "_pieces", "_tail", "stretch")

    def __init__(self) -> None:
        self.stretch = 0
        self._tail = ""
        self._pieces: list[str] = []
        self._fresh = 0
        self._counted: int | None = None

    def feed(self, text: str) -> bool:
        """Hear the next piece; was it a moment to look?"""
        self._pieces.append(text)
        self._fresh += len(text)
        if self._fresh < _EVERY:
            return False
        self._tail = (self._tail + "".join(self._pieces))[-_KEPT:]
        self._pieces.clear()
        self._fresh = 0
        self.stretch = _stretch(self._tail)
        self._counted = None
        return True

    @property
    def counted(self) -> int:
        """Characters at the end that are one thing over and over, but for its numbers; or one number without an end."""
        if self._counted is None:
            number = len(self._tail) - len(self._tail.rstrip("0123456789"))
            self._counted = max(number, _stretch(_NUMBER.sub("0", self._tail)))
        return self._counted


def _stretch(tail: str) -> int:
    """The probe at the very end stood somewhere before; if it is a circle, that is one round ago."""
    if len(tail) <= _PROBE:
        return 0
    earlier = tail.rfind(tail[-_PROBE:], 0, -1)
    if earlier < 0:
        return 0
    round_ = tail[earlier + _PROBE :]
    position = len(tail)
    while position >= len(round_) and tail.startswith(round_, position - len(round_)):
        position -= len(round_)
    found = len(tail) - position
    return found if found >= _LEAST * len(round_) else 0
