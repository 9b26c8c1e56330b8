"""Folds chunks into a whole answer. Chunks of several choices may be in any order, those of each choice are in theirs."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import UNSET

from dragoman.api.openai.completions import (
    CallOut,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatEvent,
    ChatMessageOut,
    Completion,
    CompletionEvent,
    Delta,
    FunctionOut,
    TextChoice,
    Usage,
)

C = TypeVar("C", ChatChunk, Completion)


def fold_chat(chunks: Iterable[ChatEvent]) -> ChatCompletion:
    """Collect a whole stream, which includes its usage."""
    messages: dict[int, _Message] = {}
    last = None
    for last in _chunks(chunks, ChatChunk):
        for choice in last.choices:
            messages.setdefault(choice.index, _Message()).add(choice.delta, choice.finish_reason)
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    choices = [messages[index].choice(index) for index in sorted(messages)]
    return ChatCompletion(last.id, last.created, last.model, choices, last.usage)


class _Message:
    """One choice of a chat completion so far."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[tuple[CallOut, list[str]]] = []
        self._older: list[FunctionOut] = []
        self._finish = ""

    def add(self, delta: Delta, finish: str | None) -> None:
        """Add what a chunk adds."""
        self._content += [delta.content] if delta.content else []
        self._reasoning += [delta.reasoning_content] if delta.reasoning_content else []
        self._older += [delta.function_call] if delta.function_call else []
        for call in delta.tool_calls or ():
            if call.id is not UNSET:
                self._calls.append((call, []))
            self._calls[-1][1].append(call.function.arguments)
        self._finish = finish or self._finish

    def choice(self, index: int) -> ChatChoice:
        """The whole choice."""
        calls = [
            CallOut(FunctionOut(call.function.name, "".join(texts)), id=call.id, type=call.type) for call, texts in self._calls
        ]
        message = ChatMessageOut(
            "".join(self._content) or (None if calls or self._older else ""),
            reasoning_content="".join(self._reasoning) or UNSET,
            tool_calls=calls or UNSET,
            function_call=_joined(self._older) if self._older else UNSET,
        )
        return ChatChoice(message, self._finish, index)


def _joined(pieces: list[FunctionOut]) -> FunctionOut:
    return FunctionOut(pieces[0].name, "".join(piece.arguments for piece in pieces))


def fold_completion(chunks: Iterable[CompletionEvent]) -> Completion:
    """Collect a whole stream, which includes its usage."""
    texts: dict[int, list[str]] = {}
    finishes: dict[int, str | None] = {}
    last = None
    for last in _chunks(chunks, Completion):
        for choice in last.choices:
            texts.setdefault(choice.index, []).append(choice.text)
            finishes[choice.index] = choice.finish_reason
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    choices = [TextChoice("".join(texts[index]), finishes[index], index) for index in sorted(texts)]
    return Completion(last.id, last.created, last.model, choices, last.usage)


def _chunks(stream: Iterable[object], kind: type[C]) -> Iterator[C]:
    return (event for event in stream if isinstance(event, kind))
