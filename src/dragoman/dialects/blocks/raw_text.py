"""A message to a tool without JSON: its text, as code, is the value of the only argument that the tool requires."""

from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.markers import Markers
from dragoman.dialects.values.json_text import escape


class RawText(ArgumentReader):
    """Reads the whole message, up to the first of `stops`; it is always complete."""

    def __init__(self, key: str, stops: Markers) -> None:
        super().__init__()
        self.out.append(f'{{"{escape(key)}": "')
        self._stops = stops

    @property
    def clean(self) -> bool:
        """True: any text is complete."""
        return True

    @property
    def may_end(self) -> bool:
        """True: any text is complete."""
        return True

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes; the stop is not consumed."""
        found = self._stops.find(text, pos, final=final)
        end = found.start if found else len(text)
        self.out.append(escape(text[pos:end]))
        if found and found.marker:
            self.close()
        return end

    def close(self) -> None:
        """End the message here."""
        self.out.append('"}')
        self.done = True
