"""Two forms of calls with the same opener: JSON if a bracket or a fence follows, the other form otherwise."""

from collections.abc import Callable

from dragoman.dialects.blocks.base import CallReader
from dragoman.parts import Part

_JSON_BEGINS = ("{", "[", "`")


class EitherBlock(CallReader):
    """Waits for the first character after the opener, then reads with one reader or the other."""

    def __init__(self, in_json: Callable[[], CallReader], otherwise: Callable[[], CallReader]) -> None:
        self._in_json, self._otherwise = in_json, otherwise
        self._space = ""
        self._chosen: CallReader | None = None

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read as `CallReader.read` describes."""
        if self._chosen is None:
            rest = text[pos:].lstrip()
            space = text[pos : len(text) - len(rest)]
            self._space += space
            pos += len(space)
            if not rest:
                return pos
            self._choose(rest, out)
        assert self._chosen is not None
        pos = self._chosen.read(text, pos, out)
        self.done, self.refused = self._chosen.done, self._chosen.refused
        return pos

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end as `CallReader.finish` describes."""
        chosen = self._chosen or self._choose(tail, out)
        chosen.finish(tail, out, cut=cut)
        self.done = True

    def _choose(self, rest: str, out: list[Part]) -> CallReader:
        self._chosen = self._in_json() if rest.startswith(_JSON_BEGINS) else self._otherwise()
        if self._space:
            self._chosen.read(self._space, 0, out)
        return self._chosen
