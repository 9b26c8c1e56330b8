"""Reads a body and renders its prompt: small bodies on the event loop, large ones in a worker process.

One job parses, checks, lowers and renders a large body. It returns the text of the prompt, and of the conversation only the
policy for the answer. The worker gets the special tokens that the parent process knows; if the result contains a new one,
the job runs again with it, which happens once for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dragoman.conversation import Conversation, Dialogue
from dragoman.errors import InvalidRequest
from dragoman.media.text_only import for_text_only
from dragoman.observability.content_statistics import content_statistics
from dragoman.observability.log_entry import Volume
from dragoman.observability.prefix_tracker import Trail, trail_of
from dragoman.prompt import Prompt, PromptBuilder, Rendered, Renderer
from dragoman.prompt.images import searchable_text
from dragoman.special_tokens import candidates
from dragoman.worker_pool import POOL, TooExpensive

LARGE_BODY: Final = 128 * 1024
"""Size in bytes above which a body is handled in a worker process."""
MANY_OBJECTS: Final = 2_000
"""Number of JSON objects and arrays above which a body of any size is handled in a worker process."""


@dataclass(frozen=True, slots=True)
class Read:
    """A parsed and checked request. `named`: the fields that identify a conversation or its user, the most specific first."""

    model: str
    stream: bool
    conversation: Conversation
    unknown: Sequence[str] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    usage: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """The data about a conversation that the log and the prefix tracker keep."""

    content: Mapping[str, Volume]
    trail: Trail


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The result of a worker; `read` has no turns, and `unknown` are new candidates for special tokens."""

    read: Read
    facts: Facts
    rendered: Rendered
    characters: int
    unknown: str


Reader = Callable[..., Read]
"""A module-level function that reads a body: `reader(body, *options)`. Raises `InvalidRequest`."""


def is_large(body: bytes) -> bool:
    """Whether work on a body may take too long for the event loop."""
    return len(body) > LARGE_BODY or body.count(b"{") + body.count(b"[") > MANY_OBJECTS


def facts_of(conversation: Conversation) -> Facts:
    """Return the facts of a conversation."""
    return Facts(content_statistics(conversation), trail_of(conversation))


def resolved(read: Read) -> Read:
    """Return a request with text in the place of its attachments."""
    dialogue = for_text_only(read.conversation.dialogue)
    return replace(read, conversation=replace(read.conversation, dialogue=dialogue))


async def in_worker(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker process. Raises `InvalidRequest` if it exceeds the limits of a worker, and what it raises."""
    try:
        return await POOL.run(function, *args)
    except TooExpensive as error:
        raise InvalidRequest(f"preparing this request {error}; make it smaller") from None


async def prepared(reader: Reader, body: bytes, options: Sequence[Any], prompts: PromptBuilder) -> tuple[Read, Facts, Prompt]:
    """Read and render a large request in a worker process. Raises `InvalidRequest`, and what the engine's tokenizer raises."""
    special_tokens = await prompts.special_tokens_in("")
    while True:
        made: _Rendered = await in_worker(
            _prepare, reader, body, options, prompts.renderer, special_tokens, prompts.most_characters
        )
        fresh = await prompts.special_tokens_in(made.unknown) if made.unknown else []
        if not set(fresh) - set(special_tokens):
            return made.read, made.facts, await prompts.encoded(made.rendered, made.characters)
        special_tokens = sorted({*special_tokens, *fresh})


def _prepare(  # noqa: PLR0913, PLR0917 -- everything that a worker needs
    reader: Reader, body: bytes, options: Sequence[Any], renderer: Renderer, special_tokens: Sequence[str], most: int
) -> _Rendered:
    """Read and render a request. Of a text longer than any window, only the first `most` characters are returned."""
    read = resolved(reader(body, *options))
    text = searchable_text(read.conversation.dialogue)
    spelled = [spelling for spelling in special_tokens if spelling in text]
    unknown = candidates(text, renderer.names) - set(special_tokens)
    rendered = renderer.checked(read.conversation, spelled)
    return _Rendered(
        replace(read, conversation=Conversation(Dialogue(), read.conversation.policy)),
        facts_of(read.conversation),
        replace(rendered, text=rendered.text[:most]),
        len(rendered.text),
        "\n".join(sorted(unknown)),
    )
