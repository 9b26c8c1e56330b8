"""A lenient model of a message: missing fields are empty, and only an unreadable message raises `CheckFailed`."""

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
        """The tokens that were read from the cache."""
        return self.cache_read_input_tokens or 0


class Block(Struct, frozen=True):
    """A content block of any type. `input` is None if it is missing or its JSON cannot be read."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None
    thinking: str = ""
    signature: str = ""
    tool_use_id: str = ""


class Message(Struct, frozen=True):
    """A message, streamed or not."""

    content: Sequence[Block] = ()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    model: str = ""
    usage: Usage = Usage()

    @property
    def text(self) -> str:
        """The text of all text blocks."""
        return "".join(block.text for block in self.content if block.type == "text")

    @property
    def types(self) -> list[str]:
        """The types of its blocks."""
        return [block.type for block in self.content]

    def blocks(self, kind: str) -> list[Block]:
        """The blocks of one type."""
        return [block for block in self.content if block.type == kind]


def read_message(value: object) -> Message:
    """The message in a JSON value. Raises `CheckFailed` if it is not a message."""
    try:
        return msgspec.convert(value, Message)
    except msgspec.ValidationError as error:
        raise CheckFailed(f"the answer is not a message: {error}") from error
