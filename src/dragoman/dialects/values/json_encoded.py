r"""Arguments written as a JSON string: `"{\"a\": 1}"`; models that saw such a history write them."""

import json

from dragoman.dialects.values.json_value import JsonValue, string_piece


class EncodedObject:
    """Removes the string's quotes and escapes, and reads its inside as a `JsonValue`, whose interface it has.

    If that gets stuck, the rest of the string is dropped, and this reader is stuck after it.
    """

    __slots__ = ("_inner", "_lost", "_quote", "_started", "_tail", "done", "stuck")

    def __init__(self, repairs: list[str]) -> None:
        self._inner = JsonValue(repairs)
        self._quote = ""
        self._started = False
        self._lost = False
        self._tail = ""  # text that the inner reader has not decided on yet
        self.done = False
        self.stuck = False
        repairs.append("encoded-arguments")

    @property
    def out(self) -> list[str]:
        """The object's JSON text read so far."""
        return self._inner.out

    @property
    def clean(self) -> bool:
        """Never true: inside a string, its end is always missing."""
        return False

    @property
    def begun(self) -> bool:
        """Whether more has been read than an opening bracket."""
        return self.done or self._inner.begun

    def read(self, text: str, pos: int) -> int:
        """Read as `JsonValue.read` does; the string's quotes are consumed too."""
        if not self._quote:
            self._quote = text[pos]
            pos += 1
        while pos < len(text) and not self.done and not self.stuck:
            if text[pos] == self._quote:
                self._end()
                return pos + 1
            end, piece, _ = string_piece(text, pos, self._quote)
            if end == pos:
                break
            if not self._lost:
                self._pass_on(json.loads(f'"{piece}"') if "\\" in piece else piece)
            pos = end
        return pos

    def close(self) -> None:
        """End the object here, as valid JSON."""
        self._inner.close()
        self.done = True

    def _pass_on(self, text: str) -> None:
        text = self._tail + text
        if not self._started:
            text = text.lstrip()
            self._started = bool(text)
            self._lost = self._started and text[0] != "{"
        if self._inner.done or self._lost:
            return
        self._tail = text[self._inner.read(text, 0) :]
        self._lost = self._inner.stuck

    def _end(self) -> None:
        self.stuck = self._started and not self._inner.done and (self._lost or bool(self._tail) or not self._inner.clean)
        self._inner.close()
        self.done = not self.stuck
