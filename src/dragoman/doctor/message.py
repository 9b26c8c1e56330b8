"""A message as leniently as it can be read: what is missing is empty, and only what cannot be read at all is a fault."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.doctor.check_failed import CheckFailed


class Usage(Struct, frozen=True):
    """Token counts; null and missing are 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def prompt(self) -> int:
        """The length of the whole prompt (USE-1)."""
        return (self.input_tokens or 0) + (self.cache_creation_input_tokens or 0) + self.cached

    @property
    def cached(self) -> int:
        """What the server did not compute again."""
        return self.cache_read_input_tokens or 0


class Block(Struct, frozen=True):
    """A block of content, of any type. `input` is None where there is none, or where its JSON cannot be read."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None
    thinking: str = ""
    signature: str = ""


class Message(Struct, frozen=True):
    """An answer, streamed or not."""

    content: Sequence[Block] = ()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    model: str = ""
    usage: Usage = Usage()

    @property
    def text(self) -> str:
        """All that it says."""
        return "".join(block.text for block in self.content if block.type == "text")

    @property
    def types(self) -> list[str]:
        """The types of its blocks."""
        return [block.type for block in self.content]

    def blocks(self, kind: str) -> list[Block]:
        """The blocks of one type."""
        return [block for block in self.content if block.type == kind]


def read_message(value: object) -> Message:
    """Raises `CheckFailed` where it is none."""
    try:
        return msgspec.convert(value, Message)
    except msgspec.ValidationError as error:
        raise CheckFailed(f"the answer is not a message: {error}") from error
