"""The reader of arguments that are one literal: a dict, or the keyword arguments of a call."""

from dragoman.dialects.codecs.codec import ArgumentReader
from dragoman.dialects.values.literal_value import LiteralValue


class LiteralReader(ArgumentReader):
    """Reads the inside of a `literal` that is open already, or one that begins with a brace."""

    def __init__(self, literal: LiteralValue, *, is_open: bool) -> None:
        super().__init__()
        self._literal = literal
        self._is_open = is_open
        self.out = literal.out

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes."""
        if not self._is_open:
            if text[pos].isspace():
                return pos + 1
            self.stuck = text[pos] != "{"
            if self.stuck:
                return pos
            self._begin()
            pos += 1
        self._literal.final = final
        pos = self._literal.read(text, pos)
        self.done, self.stuck = self._literal.done, self._literal.stuck
        return pos

    @property
    def clean(self) -> bool:
        """Whether only brackets are missing."""
        return not self._is_open or self._literal.clean

    @property
    def may_end(self) -> bool:
        """Whether the arguments have not begun: without the closing bracket, the last value may be incomplete."""
        return not self._is_open

    def close(self) -> None:
        """End the arguments here, as valid JSON."""
        if not self._is_open:
            self._begin()
        self._literal.close()

    def _begin(self) -> None:
        self._is_open = True
        self._literal.open_object()
