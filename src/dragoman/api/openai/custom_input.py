"""Reads the input of a custom tool call from the JSON arguments that the model writes, while it writes them."""

import re
from typing import Final

import msgspec

from dragoman.api.openai.custom_tools import INPUT

_OPENING: Final = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_PIECE: Final = re.compile(r'[^"\\]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_HIGH: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_ESCAPED: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class InputReader:
    """Reads `{"input": "…"}` in pieces; arguments of any other form are the input themselves, as they are written."""

    def __init__(self) -> None:
        self._written = ""  # all of it until the text begins, then what is not read yet
        self._inside = False
        self._over = False

    def feed(self, json: str) -> str:
        """Return the next characters of the input."""
        if self._over:
            return ""
        self._written += json
        if not self._inside:
            found = _OPENING.match(self._written)
            if not found:
                return ""
            self._inside, self._written = True, self._written[found.end() :]
        return self._read()

    def finish(self) -> str:
        """Return what is left at the end of the arguments."""
        if self._inside:
            return ""
        written, self._written = self._written, ""
        try:
            value = msgspec.json.decode(written)
        except msgspec.DecodeError:
            return "" if _may_open(written) else written
        text = value.get(INPUT) if isinstance(value, dict) else None
        return text if isinstance(text, str) else written

    def _read(self) -> str:
        text, place = [], 0
        while found := _PIECE.match(self._written, place):
            piece = found.group()
            if _HIGH.match(piece):  # the first half of a pair: it waits for the second
                pair = _PIECE.match(self._written, found.end())
                if pair is None and not self._written.startswith('"', found.end()):
                    break
                if pair is not None and pair.group().startswith("\\u"):
                    piece, found = piece + pair.group(), pair
            text.append(_decoded(piece))
            place = found.end()
        self._over = self._written.startswith('"', place)
        self._written = self._written[place:]
        return "".join(text)


def _may_open(written: str) -> bool:
    """Whether arguments that were cut end before the text begins."""
    return f'{{"{INPUT}":"'.startswith("".join(written.split()))


def _decoded(piece: str) -> str:
    if not piece.startswith("\\"):
        return piece
    if not piece.startswith("\\u"):
        return _ESCAPED[piece[1]]
    units = bytes.fromhex(piece.replace("\\u", ""))
    return units.decode("utf-16-be", "replace")
