"""The content of one request, kept in memory: its body, its prompt, and the answer as the model wrote it and as it was read.

Everything is kept by reference while the request runs, so that it costs two list entries per part. At the end the generations,
which hold token ids, are let go of.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dragoman.conversation import ImageSpan
from dragoman.parts import Part
from dragoman.prompt import Prompt

_PART: Final = 160
"""Bytes that a part and its time take, about."""


class Source(Protocol):
    """What is read of a generation when its details are looked at, and at its end."""

    @property
    def written(self) -> Sequence[str]:
        """The raw output so far, in chunks."""

    @property
    def constraint(self) -> object:
        """What the engine enforces; None for nothing."""


@dataclass(frozen=True, slots=True)
class PromptText:
    """A prompt without its token ids: text, `escaped` text and `sentinel` as in `Prompt`, number of tokens.

    `images` are the lengths of its images in tokens, by digest. `before` is the text of the prompt that it should begin with,
    None if there is none.
    """

    text: str
    escaped: str
    sentinel: str
    tokens: int
    images: Mapping[str, int]
    before: str | None = None

    @classmethod
    def of(cls, prompt: Prompt, before: str | None = None) -> "PromptText":
        """The text of a prompt."""
        images = {span.image.digest: span.length for span in prompt.spans if isinstance(span, ImageSpan)}
        return cls(prompt.text, prompt.escaped, prompt.sentinel, prompt.length, images, before)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(sys.getsizeof, (self.text, self.escaped, self.before or "")))


class AnswerDetails:
    """One choice of an answer: its parts with their times, by the monotonic clock, and its generation."""

    def __init__(self, source: Source) -> None:
        self.parts: list[Part] = []
        self.times: list[float] = []
        self._source: Source | None = source
        self._written = ""
        self._constraint: object = None

    @property
    def written(self) -> str:
        """The raw output so far."""
        return self._written if self._source is None else "".join(self._source.written)

    @property
    def constraint(self) -> object:
        """What the engine enforces; None for nothing."""
        return self._constraint if self._source is None else self._source.constraint

    def settle(self) -> None:
        """Let go of the generation."""
        self._written, self._constraint = self.written, self.constraint
        self._source = None

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sys.getsizeof(self._written) + _PART * len(self.parts)


@dataclass(slots=True, eq=False)
class Details:
    """The content of one request. `headers` are those that contain no secrets, `removed` the names of the others."""

    target: str
    headers: Mapping[str, str]
    removed: Sequence[str]
    body: bytes = b""
    prompt: PromptText | None = None
    answers: Sequence[AnswerDetails] = field(default_factory=list)

    def settle(self) -> None:
        """Let go of the generations, when the request is over."""
        for answer in self.answers:
            answer.settle()

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.body) + (self.prompt.size if self.prompt else 0) + sum(answer.size for answer in self.answers)
