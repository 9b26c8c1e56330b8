"""A message to a tool without JSON: its text, as code, is the value of the only argument that the tool requires."""

from dragoman.dialects.codecs.typed import escape
from dragoman.dialects.markers import Markers


class RawText:
    """Reads the whole message, up to the first of `stops`. It has the interface of `CallObject`, and is always complete."""

    __slots__ = ("_stops", "done", "id", "name", "out", "strict", "stuck", "whole")

    begun = may_end = clean = True

    def __init__(self, name: str, key: str, stops: Markers) -> None:
        self.name = name
        self.id = ""
        self.out = [f'{{"{escape(key)}": "']
        self.done = self.stuck = self.strict = self.whole = False
        self._stops = stops

    def read(self, text: str, pos: int) -> int:
        """Read from `pos` on; returns the end of what was consumed, which does not include the stop."""
        found = self._stops.find(text, pos, final=False)
        end = found.start if found else len(text)
        self.out.append(escape(text[pos:end]))
        if found and found.marker:
            self.close()
        return end

    def finish(self, tail: str) -> None:
        """Read the end: `tail` is part of the message."""
        self.out.append(escape(tail))

    def close(self) -> None:
        """End the message here."""
        self.out.append('"}')
        self.done = self.whole = True
