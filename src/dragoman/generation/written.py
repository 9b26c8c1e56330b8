"""What the model wrote in one engine request."""

from collections.abc import Sequence

from dragoman.engines import OutputChunk


class Written:
    """The text of the chunks so far, and the ids of its tokens."""

    __slots__ = ("_ids", "_output", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._output = 0

    def add(self, chunk: OutputChunk) -> None:
        """Add a chunk."""
        self._texts.append(chunk.text)
        self._ids += chunk.ids
        self._output += chunk.output

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._texts)

    @property
    def ids(self) -> Sequence[int] | None:
        """The ids of all tokens; None if the engine did not report them all."""
        return self._ids if len(self._ids) == self._output else None
