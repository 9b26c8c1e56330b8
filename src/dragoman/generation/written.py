"""What the model wrote in one engine request."""

from collections.abc import Sequence

from dragoman.engines import OutputChunk


class Written:
    """The text of the chunks so far, with its `length`, and the ids of its tokens."""

    __slots__ = ("_ids", "_output", "_texts", "length")

    def __init__(self) -> None:
        self.length = 0
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._output = 0

    def add(self, chunk: OutputChunk) -> None:
        """Add a chunk."""
        self._texts.append(chunk.text)
        self.length += len(chunk.text)
        self._ids += chunk.ids
        self._output += chunk.output

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._texts)

    def end(self, length: int) -> str:
        """Return the last `length` characters, in time in proportion to them."""
        found: list[str] = []
        for text in reversed(self._texts):
            if length <= 0:
                break
            found.append(text[-length:])
            length -= len(text)
        return "".join(reversed(found))

    @property
    def ids(self) -> Sequence[int] | None:
        """The ids of all tokens; None if the engine did not report them all."""
        return self._ids if len(self._ids) == self._output else None
