"""A request that arrives: what is read of it before its model is loaded, and the whole once it is.

A small body is read at once, so that a request that is wrong loads no model. Of a large one only the name of the model and the
stream flag are read first; the rest needs the model, by which a worker process renders the prompt.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from dragoman.conversation import Conversation, Image
from dragoman.conversation.context_edits import Plan
from dragoman.media.outcomes import needs_reading
from dragoman.prompt import Prompt
from dragoman.server.answering.preparation import Facts, Read, Reader, facts_of, in_text, is_large, prepared
from dragoman.server.answering.rendering import in_worker, prompt_in_worker
from dragoman.server.answering.tool_lists import with_tools
from dragoman.server.models.served_model import ServedModel
from dragoman.server_tools import RequestTools, ServerToolbox

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

    `plain` are the texts or the token ids of a completion, which has no conversation and no facts. `tools` are the server tools
    of the request. `images` are those whose bytes the conversation does not have, by their digests; `large`: the conversation
    is rendered in a worker process.
    """

    read: Read
    facts: Facts | None = None
    prompt: Prompt | None = None
    plain: Sequence[str | Sequence[int]] = ()
    tools: RequestTools = field(default_factory=RequestTools)
    images: Mapping[str, Image] = field(default_factory=dict)
    large: bool = False

    async def prompt_of(self, model: ServedModel) -> Prompt:
        """Return the prompt, for counting and generating (CNT-2). Raises `InvalidRequest`, and what building raises."""
        if self.read.input_ids is not None:
            return await model.given_prompt(self.read.input_ids, self.read.conversation.policy)
        if self.prompt is None:
            return await self.prompt_for(self.read.conversation, model)
        model.check(self.read.conversation.policy, self.prompt)
        return self.prompt

    async def prompt_for(self, conversation: Conversation, model: ServedModel) -> Prompt:
        """Return the prompt of the conversation, or of a later round of it, without attachments. Raises as `prompt_of`."""
        if not self.large:
            return await model.prompt(conversation)
        prompt = await prompt_in_worker(conversation, model.prompts, self.images)
        model.check(conversation.policy, prompt)
        return prompt

    async def with_server_tools(self, toolbox: ServerToolbox) -> "Prepared":
        """The request with the tools that the server runs, after those of the client. Raises `InvalidRequest`."""
        policy = self.read.conversation.policy
        if not policy.server_tools:
            return self
        return self.with_tools(await toolbox.tools(policy.server_tools, policy.deferred))

    def with_tools(self, tools: RequestTools) -> "Prepared":
        """The request with these server tools. Raises `InvalidRequest`."""
        if not tools.tools:
            return self
        return replace(self.with_conversation(with_tools(self.read.conversation, tools)), tools=tools)

    def with_conversation(self, conversation: Conversation) -> "Prepared":
        """The request with another conversation."""
        return replace(self, read=replace(self.read, conversation=conversation))


class Incoming(ABC):
    """A request that arrived, before its model is loaded."""

    def __init__(self, head: Head) -> None:
        self.head = head

    @abstractmethod
    async def prepared(self, model: ServedModel, owner: str, plan: Plan = ()) -> Prepared:
        """Read what is still to be read, for the model, and edit the conversation. `owner` owns the files that it may name.

        Raises `InvalidRequest`, and what the engine's tokenizer raises.
        """


class IncomingCompletion(Incoming):
    """Texts or token ids to continue."""

    def __init__(self, read: Read, plain: Sequence[str | Sequence[int]]) -> None:
        super().__init__(Head(read.model, read.stream))
        self._made = Prepared(read, plain=plain)

    async def prepared(self, model: ServedModel, owner: str, plan: Plan = ()) -> Prepared:
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

    async def prepared(self, model: ServedModel, owner: str, plan: Plan = ()) -> Prepared:
        """Read the rest; of a large body, or one with attachments to read, a worker process renders the prompt.

        Raises `InvalidRequest`, and what the engine's tokenizer raises.
        """
        sight = model.media.sight_of(owner)
        if self._read is None or needs_reading(self._read.conversation.dialogue, sight):
            source = (self._reader, self._body, self._options)
            made = await prepared(*source, model.prompts, model.media, sight, plan)
            return Prepared(made.read, made.facts, made.prompt, images=made.images, large=True)
        read = in_text(self._read, sight, plan)
        return Prepared(read, facts_of(read))


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
