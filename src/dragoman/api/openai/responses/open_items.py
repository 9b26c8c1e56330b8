"""The output items while they are written: the events with which each kind begins, goes on and ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from msgspec import UNSET
from msgspec.structs import replace

from dragoman.api.openai.custom_input import InputReader
from dragoman.api.openai.logprobs import TokenLogprob
from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.citations import UrlCitation
from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.response import (
    CustomToolCallItem,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningOut,
    ReasoningText,
    SummaryText,
)
from dragoman.api.openai.responses.tools import ToolName
from dragoman.conversation.signature import sign
from dragoman.parts import Citation

COMPLETED, INCOMPLETE = "completed", "incomplete"


class OpenItem(ABC):
    """An item that is being written, at `index` of the output. `numbers` are the sequence numbers of the stream."""

    item: OutputItem

    def __init__(self, index: int, numbers: "count[int]") -> None:
        self._index = index
        self._numbers = numbers
        self._pieces: list[str] = []

    def begin(self) -> Iterator[Event]:
        """Yield the events with which it begins."""
        yield events.ItemAdded(next(self._numbers), self._index, self.item)

    def add(self, text: str) -> Iterator[Event]:
        """Yield the events for more of its text."""
        if text:
            self._pieces.append(text)
            yield self._delta(text)

    def end(self, status: str) -> Iterator[Event]:
        """Yield the events with which it ends; from then on `item` is whole."""
        yield from self._end("".join(self._pieces), status)
        yield events.ItemDone(next(self._numbers), self._index, self.item)

    def _event(self, kind: Callable[..., Event], *fields: object) -> Event:
        return kind(next(self._numbers), self._index, self.item.id, *fields)

    @abstractmethod
    def _delta(self, text: str) -> Event: ...

    @abstractmethod
    def _end(self, text: str, status: str) -> Iterator[Event]: ...


class OpenMessage(OpenItem):
    """A message, whose text is one part."""

    def __init__(self, item_id: str, index: int, numbers: "count[int]") -> None:
        super().__init__(index, numbers)
        self.item: MessageItem = MessageItem(item_id)
        self._logprobs: list[TokenLogprob] = []
        self._fresh: Sequence[TokenLogprob] = ()  # those of the next delta
        self._annotations: list[UrlCitation] = []
        self._length = 0

    def begin(self) -> Iterator[Event]:
        """Yield the events with which the item and its part begin."""
        yield from super().begin()
        yield self._event(events.PartAdded, OutputText())

    def add(self, text: str, logprobs: Sequence[TokenLogprob] = ()) -> Iterator[Event]:
        """Yield the events for more of its text, with the log-probabilities of its tokens."""
        self._fresh = logprobs
        self._logprobs += logprobs
        self._length += len(text)
        return super().add(text)

    def cite(self, text: str, citations: Sequence[Citation]) -> Iterator[Event]:
        """Yield the events for what the text that was added last cites."""
        for citation in citations:
            annotation = UrlCitation.of(citation, self._length - len(text), self._length)
            yield self._event(events.AnnotationAdded, annotation, len(self._annotations))
            self._annotations.append(annotation)

    def _delta(self, text: str) -> Event:
        return self._event(events.TextDelta, text, 0, self._fresh)

    def _end(self, text: str, status: str) -> Iterator[Event]:
        part = OutputText(text, self._annotations, self._logprobs)
        yield self._event(events.TextDone, text, 0, self._logprobs)
        yield self._event(events.PartDone, part)
        self.item = replace(self.item, status=status, content=(part,))


class OpenReasoning(OpenItem):
    """Reasoning, as text or as a summary. `summarized`: no second model shortens it, so that its summary is all of it."""

    def __init__(self, item_id: str, index: int, numbers: "count[int]", *, summarized: bool) -> None:
        super().__init__(index, numbers)
        self.item: ReasoningOut = ReasoningOut(item_id)
        self._summarized = summarized

    def begin(self) -> Iterator[Event]:
        """Yield the events with which the item and its part begin."""
        yield from super().begin()
        if self._summarized:
            yield self._event(events.SummaryPartAdded, SummaryText())
        else:
            yield self._event(events.PartAdded, ReasoningText())

    def _delta(self, text: str) -> Event:
        return self._event(events.SummaryDelta if self._summarized else events.ReasoningDelta, text)

    def _end(self, text: str, status: str) -> Iterator[Event]:
        kept = replace(self.item, status=status, encrypted_content=sign(text, shown=False))
        if self._summarized:
            yield self._event(events.SummaryDone, text)
            yield self._event(events.SummaryPartDone, SummaryText(text))
            self.item = replace(kept, summary=(SummaryText(text),))
        else:
            yield self._event(events.ReasoningDone, text)
            yield self._event(events.PartDone, ReasoningText(text))
            self.item = replace(kept, content=(ReasoningText(text),))


class OpenFunctionCall(OpenItem):
    """A call of a function."""

    def __init__(self, call_id: str, name: ToolName, index: int, numbers: "count[int]") -> None:
        super().__init__(index, numbers)
        self.item: FunctionCallItem = FunctionCallItem(f"fc_{call_id}", call_id, name.name, namespace=name.namespace or UNSET)

    def _delta(self, text: str) -> Event:
        return self._event(events.ArgumentsDelta, text)

    def _end(self, text: str, status: str) -> Iterator[Event]:
        yield self._event(events.ArgumentsDone, text, self.item.name)
        self.item = replace(self.item, status=status, arguments=text)


class OpenCustomCall(OpenItem):
    """A call of a custom tool; the model writes its input as a JSON argument."""

    def __init__(self, call_id: str, name: ToolName, index: int, numbers: "count[int]") -> None:
        super().__init__(index, numbers)
        self.item: CustomToolCallItem = CustomToolCallItem(
            f"ctc_{call_id}", call_id, name.name, namespace=name.namespace or UNSET
        )
        self._reader = InputReader()

    def add(self, text: str) -> Iterator[Event]:
        """Yield the events for more of the input, read from more of the arguments."""
        yield from super().add(self._reader.feed(text))

    def end(self, status: str) -> Iterator[Event]:
        """Yield the events with which it ends."""
        yield from super().add(self._reader.finish())
        yield from super().end(status)

    def _delta(self, text: str) -> Event:
        return self._event(events.InputDelta, text)

    def _end(self, text: str, status: str) -> Iterator[Event]:
        yield self._event(events.InputDone, text)
        self.item = replace(self.item, status=status, input=text)
