"""A request that arrives: what is read of it before its model is loaded, and the whole once it is.

A small body is read at once, so that a request that is wrong loads no model. Of a large one only the name of the model and the
stream flag are read first; the rest needs the model, by which a worker process renders the prompt.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dragoman.media.outcomes import needs_reading
from dragoman.prompt import Prompt
from dragoman.server.preparation import Facts, Read, Reader, facts_of, in_text, in_worker, is_large, prepared
from dragoman.server.served_model import ServedModel

QUICK_BODY: Final = 2 * 1024 * 1024
"""Size in bytes up to which two fields are read on the event loop, which takes a millisecond per megabyte."""


class Head(msgspec.Struct, frozen=True):
    """What a request says of its model and its response, with the field names of all API formats."""

    model: str
    stream: bool | None = None


_decode_head = msgspec.json.Decoder(Head).decode


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was read, with its facts. `prompt` is set if a worker process rendered it.

    `plain` are the texts or the token ids of a completion, which has no conversation and no facts.
    """

    read: Read
    facts: Facts | None = None
    prompt: Prompt | None = None
    plain: Sequence[str | Sequence[int]] = ()

    async def prompt_of(self, model: ServedModel) -> Prompt:
        """Return the prompt, for counting and generating (CNT-2). Raises `InvalidRequest`, and what building raises."""
        if self.prompt is None:
            return await model.prompt(self.read.conversation)
        model.check(self.read.conversation.policy, self.prompt)
        return self.prompt


class Incoming(ABC):
    """A request that arrived, before its model is loaded."""

    def __init__(self, head: Head) -> None:
        self.head = head

    @abstractmethod
    async def prepared(self, model: ServedModel) -> Prepared:
        """Read what is still to be read, for the model. Raises `InvalidRequest`, and what the engine's tokenizer raises."""


class IncomingCompletion(Incoming):
    """Texts or token ids to continue."""

    def __init__(self, read: Read, plain: Sequence[str | Sequence[int]]) -> None:
        super().__init__(Head(read.model, read.stream))
        self._made = Prepared(read, plain=plain)

    async def prepared(self, model: ServedModel) -> Prepared:
        """Return the request, of which everything is read."""
        return self._made


class IncomingConversation(Incoming):
    """A conversation; `read` is None if its body is large."""

    def __init__(self, head: Head, reader: Reader, body: bytes, options: Sequence[Any], read: Read | None = None) -> None:
        super().__init__(head)
        self._reader = reader
        self._body = body
        self._options = options
        self._read = read

    @classmethod
    async def of(cls, reader: Reader, body: bytes, *options: Any, large: bool | None = None) -> "IncomingConversation":
        """Read a small body, and the head of a large one. Raises `InvalidRequest`.

        `large`: whether reading it may take too long for the event loop; None: that depends on the body alone.
        """
        if is_large(body) if large is None else large:
            return cls(await _head(reader, body, options), reader, body, options)
        read = reader(body, *options)
        return cls(Head(read.model, read.stream), reader, body, options, read)

    async def prepared(self, model: ServedModel) -> Prepared:
        """Read the rest; of a large body, or one with attachments to read, a worker process renders the prompt.

        Raises `InvalidRequest`, and what the engine's tokenizer raises.
        """
        sight = model.media.sight
        if self._read is None or needs_reading(self._read.conversation.dialogue, sight):
            return Prepared(*await prepared(self._reader, self._body, self._options, model.prompts, model.media))
        read = in_text(self._read, sight)
        return Prepared(read, facts_of(read.conversation))


async def _head(reader: Reader, body: bytes, options: Sequence[Any]) -> Head:
    """Read the head of a large body, in a worker process if that takes long. Raises `InvalidRequest`."""
    if len(body) <= QUICK_BODY:
        try:
            return _decode_head(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    head: Head = await in_worker(_head_in_worker, reader, body, options)
    return head


def _head_in_worker(reader: Reader, body: bytes, options: Sequence[Any]) -> Head:
    """Read a head; where that fails, the whole body, which gives the reason, or repairs it. Raises `InvalidRequest`."""
    try:
        return _decode_head(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        read = reader(body, *options)
        return Head(read.model, read.stream)
