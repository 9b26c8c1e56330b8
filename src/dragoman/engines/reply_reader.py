"""The base class of the readers of streamed replies, whatever the engine's events look like."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from dragoman.engines.base import Finish, FinishReason, OutputChunk
from dragoman.engines.sse import DONE, EventSplitter, data_of
from dragoman.errors import EngineFailed


class ReplyReader(ABC):
    """Reads one streamed reply: bytes in, output chunks out, however the bytes are split. Sans-IO.

    An adapter defines `read`, for one event, and `end`, for engines that finish with `data: [DONE]`. `silent` is for a request
    with a limit of 0: the token that engines generate anyway is dropped.
    """

    __slots__ = ("_events", "_output", "_silent", "finished")

    finishes: ClassVar[Mapping[str, FinishReason]] = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
    """The engine's names of the reasons for which an answer ends."""
    other_finish: ClassVar[str] = "stopped for an unknown reason"
    """The meaning of any other name, in an error message."""

    def __init__(self, *, silent: bool = False) -> None:
        self.finished = False
        """Whether the last chunk was yielded."""
        self._silent = silent
        self._events = EventSplitter()
        self._output = 0

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The chunks that `data` completes; called with no bytes as soon as the engine has accepted the request.

        Raises `EngineFailed` at an event that reports a failure or is malformed, `EngineRefused` in place of the first chunk
        where the engine refuses the request.
        """
        if self.finished:
            return
        for event in self._events.feed(data):
            payload = data_of(event)
            if payload is None:
                continue
            for chunk in self.read(payload) if payload != DONE else (self.end(),):
                self.finished = chunk.finish is not None
                if not self._silent:
                    yield chunk
                elif shown := _without_text(chunk):
                    yield shown
                if self.finished:
                    return

    @abstractmethod
    def read(self, payload: bytes) -> Iterable[OutputChunk]:
        """The chunks of one event."""

    def end(self) -> OutputChunk:
        """The last chunk, where the reply ends before an event gave it."""
        raise EngineFailed("the engine ended its reply without a finish reason")

    def new_tokens(self, total: int) -> int:
        """The number of tokens since the last call, where an event has the number of all so far."""
        output, self._output = total - self._output, total
        return output

    def finish_reason(self, name: str) -> FinishReason:
        """The reason for which the answer ended. Raises `EngineFailed` for a name that is not in `finishes`."""
        reason = self.finishes.get(name)
        if reason is None:
            raise EngineFailed(f"the engine {self.other_finish}: {name}")
        return reason


def _without_text(chunk: OutputChunk) -> OutputChunk | None:
    """What a request with a limit of 0 gets for a chunk: progress, and an end by length."""
    if chunk.finish is not None:
        return OutputChunk(finish=Finish(FinishReason.LENGTH, chunk.finish.cached))
    return chunk if chunk.prefill is not None else None
