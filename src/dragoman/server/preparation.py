"""From a body to what generation needs: small bodies on the event loop, large ones in a worker process.

A large body is parsed, checked, lowered and rendered by one job. What comes back is flat: the text of the prompt, and of the
conversation only what decides the answer. Which spellings in the text are special tokens the worker knows as far as the gateway
does; where the gateway finds out about a new one, the job runs again with it, which happens once for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from dragoman.conversation import Conversation
from dragoman.errors import InvalidRequest
from dragoman.observability.content_statistics import content_statistics
from dragoman.observability.log_entry import Volume
from dragoman.observability.prefix_tracker import Trail, trail_of
from dragoman.prompt import Prompt, PromptBuilder, Rendered, Renderer
from dragoman.special_tokens import candidates
from dragoman.worker_pool import POOL, TooExpensive

LARGE_BODY: Final = 128 * 1024
"""Bytes from which on a body is worked on in a worker process."""
MANY_OBJECTS: Final = 4_000
"""JSON objects in a body from which on it is, however short they are."""


@dataclass(frozen=True, slots=True)
class Read:
    """A request, read and checked. `named` are the fields that name a conversation or its user, the most exact first."""

    model: str
    stream: bool
    conversation: Conversation
    unknown: Sequence[str] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    usage: bool = True

    @property
    def policy(self) -> Conversation:
        """What decides the answer, without what was said."""
        return replace(self.conversation, turns=(), system=())


@dataclass(frozen=True, slots=True)
class Facts:
    """What the log and the prefix tracker keep of a conversation."""

    content: Mapping[str, Volume]
    trail: Trail


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What a worker gives back: the request without what was said, its facts, its text, and spellings nobody knew."""

    read: Read
    facts: Facts
    rendered: Rendered
    characters: int
    unknown: str


Reader = Callable[..., Read]
"""A module-level function that reads a body: `reader(body, *options)`. Raises `InvalidRequest`."""


def is_large(body: bytes) -> bool:
    """Whether work on a body may take longer than the event loop has."""
    return len(body) > LARGE_BODY or body.count(b"{") > MANY_OBJECTS


def facts_of(conversation: Conversation) -> Facts:
    """The facts of a conversation."""
    return Facts(content_statistics(conversation), trail_of(conversation))


async def in_worker(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a job on a request. Raises `InvalidRequest` where it passes the limits of a worker, and what it raises."""
    try:
        return await POOL.run(function, *args)
    except TooExpensive as error:
        raise InvalidRequest(f"to prepare this request {error}; make it smaller") from None


async def prepared(reader: Reader, body: bytes, options: Sequence[Any], prompts: PromptBuilder) -> tuple[Read, Facts, Prompt]:
    """Prepare a large request. Raises `InvalidRequest`, and what the engine's tokenizer raises."""
    special_tokens = await prompts.special_tokens_in("")
    while True:
        made: _Rendered = await in_worker(
            _prepare, reader, body, options, prompts.renderer, special_tokens, prompts.most_characters
        )
        fresh = await prompts.special_tokens_in(made.unknown) if made.unknown else []
        if not set(fresh) - set(special_tokens):
            return made.read, made.facts, await prompts.encoded(made.rendered, made.characters)
        special_tokens = sorted({*special_tokens, *fresh})


def _prepare(  # noqa: PLR0913, PLR0917 -- all that a worker needs to know
    reader: Reader, body: bytes, options: Sequence[Any], renderer: Renderer, special_tokens: Sequence[str], most: int
) -> _Rendered:
    """The job of a worker. Of a text that no window could hold only the first `most` characters are sent back."""
    read = reader(body, *options)
    text = msgspec.json.encode(read.conversation).decode()
    spelled = [spelling for spelling in special_tokens if spelling in text]
    unknown = candidates(text, renderer.names) - set(special_tokens)
    rendered = renderer.checked(read.conversation, spelled)
    return _Rendered(
        replace(read, conversation=read.policy),
        facts_of(read.conversation),
        replace(rendered, text=rendered.text[:most]),
        len(rendered.text),
        "\n".join(sorted(unknown)),
    )
