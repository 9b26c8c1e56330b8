"""A message to a tool that holds no JSON: its text is the value of the only argument that the tool needs, as code is."""

from dragoman.dialects.codecs.typed import escape
from dragoman.dialects.markers import Markers


class RawText:
    """The whole message, up to the first of `stops`. Read like `CallObject`; it is complete wherever it ends."""

    __slots__ = ("_stops", "done", "id", "name", "out", "strict", "stuck", "whole")

    begun = may_end = clean = True

    def __init__(self, name: str, key: str, stops: Markers) -> None:
        self.name = name
        self.id = ""
        self.out = [f'{{"{escape(key)}": "']
        self.done = self.stuck = self.strict = self.whole = False
        self._stops = stops

    def read(self, text: str, pos: int) -> int:
        """As `CallObject.read`; the stop is not consumed."""
        found = self._stops.find(text, pos, final=False)
        end = found.start if found else len(text)
        self.out.append(escape(text[pos:end]))
        if found and found.marker:
            self.close()
        return end

    def finish(self, tail: str) -> None:
        """No more text comes: `tail` was no stop."""
        self.out.append(escape(tail))

    def close(self) -> None:
        """As `CallObject.close`."""
        self.out.append('"}')
        self.done = self.whole = True
