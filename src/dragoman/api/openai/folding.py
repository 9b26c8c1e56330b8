"""Folds chunks into a whole answer. Chunks of several choices may be in any order, those of each choice are in theirs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from dragoman.api.openai.completions import (
    CallOut,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatEvent,
    ChatMessageOut,
    ChunkChoice,
    Completion,
    CompletionEvent,
    CustomOut,
    FunctionOut,
    TextChoice,
    Usage,
)
from dragoman.api.openai.logprobs import ChatLogprobs, TextLogprobs, joined_chat, joined_text

C = TypeVar("C", ChatChunk, Completion)


def fold_chat(chunks: Iterable[ChatEvent]) -> ChatCompletion:
    """Collect a whole stream, which includes its usage."""
    messages: dict[int, _Message] = {}
    prompt: Sequence[int] | UnsetType = UNSET
    last = None
    for last in _chunks(chunks, ChatChunk):
        prompt = last.prompt_token_ids if prompt is UNSET else prompt
        for choice in last.choices:
            messages.setdefault(choice.index, _Message()).add(choice)
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    choices = [messages[index].choice(index) for index in sorted(messages)]
    return ChatCompletion(last.id, last.created, last.model, choices, last.usage, prompt_token_ids=prompt)


class _Message:
    """One choice of a chat completion so far."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[list[CallOut]] = []  # the chunks of each
        self._older: list[FunctionOut] = []
        self._finish = ""
        self._ids = _Ids()
        self._logprobs: list[ChatLogprobs] = []

    def add(self, choice: ChunkChoice) -> None:
        """Add what a chunk adds."""
        self._ids.add(choice.token_ids)
        self._logprobs += [choice.logprobs] if choice.logprobs else []
        delta = choice.delta
        self._content += [delta.content] if delta.content else []
        self._reasoning += [delta.reasoning_content] if delta.reasoning_content else []
        self._older += [delta.function_call] if delta.function_call else []
        for call in delta.tool_calls or ():
            if call.id is not UNSET:
                self._calls.append([])
            self._calls[-1].append(call)
        self._finish = choice.finish_reason or self._finish

    def choice(self, index: int) -> ChatChoice:
        """The whole choice."""
        calls = [_call(chunks) for chunks in self._calls]
        message = ChatMessageOut(
            "".join(self._content) or (None if calls or self._older else ""),
            reasoning_content="".join(self._reasoning) or UNSET,
            tool_calls=calls or UNSET,
            function_call=_joined(self._older) if self._older else UNSET,
        )
        return ChatChoice(message, self._finish, index, joined_chat(self._logprobs), self._ids.all)


class _Ids:
    """Collects the token ids of chunks; UNSET while there are none."""

    def __init__(self) -> None:
        self.all: list[int] | UnsetType = UNSET

    def add(self, ids: Sequence[int] | UnsetType) -> None:
        """Add those of a chunk."""
        if ids is not UNSET:
            self.all = [] if self.all is UNSET else self.all
            self.all += ids


def _call(chunks: Sequence[CallOut]) -> CallOut:
    functions = [chunk.function for chunk in chunks if chunk.function]
    customs = [chunk.custom for chunk in chunks if chunk.custom]
    return CallOut(
        id=chunks[0].id,
        type=chunks[0].type,
        function=_joined(functions) if functions else UNSET,
        custom=CustomOut(customs[0].name, "".join(piece.input for piece in customs)) if customs else UNSET,
    )


def _joined(pieces: Sequence[FunctionOut]) -> FunctionOut:
    return FunctionOut(pieces[0].name, "".join(piece.arguments for piece in pieces))


def fold_completion(chunks: Iterable[CompletionEvent]) -> Completion:
    """Collect a whole stream, which includes its usage."""
    found: dict[int, _Text] = {}
    last = None
    for last in _chunks(chunks, Completion):
        for choice in last.choices:
            found.setdefault(choice.index, _Text()).add(choice)
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    choices = [found[index].choice(index) for index in sorted(found)]
    return Completion(last.id, last.created, last.model, choices, last.usage)


class _Text:
    """One choice of a completion so far."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._finish: str | None = None
        self._ids = _Ids()
        self._logprobs: list[TextLogprobs] = []
        self._prompt: Sequence[int] | UnsetType = UNSET

    def add(self, choice: TextChoice) -> None:
        """Add what a chunk adds."""
        self._texts.append(choice.text)
        self._finish = choice.finish_reason
        self._ids.add(choice.token_ids)
        self._logprobs += [choice.logprobs] if choice.logprobs else []
        self._prompt = choice.prompt_token_ids if self._prompt is UNSET else self._prompt

    def choice(self, index: int) -> TextChoice:
        """The whole choice."""
        logprobs = joined_text(self._logprobs)
        return TextChoice("".join(self._texts), self._finish, index, logprobs, self._ids.all, self._prompt)


def _chunks(stream: Iterable[object], kind: type[C]) -> Iterator[C]:
    return (event for event in stream if isinstance(event, kind))
