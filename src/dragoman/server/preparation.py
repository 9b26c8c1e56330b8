"""Reads a body and renders its prompt: on the event loop, or in a worker process if it is large or has attachments to read.

One job parses, checks, lowers and renders a body. It returns the text of the prompt, and of the conversation only the policy
for the answer. The worker gets the special tokens and the attachments that the parent process knows; if the request has others,
the job runs again with them, which happens once for each. The bytes of images stay in the parent process.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dragoman.conversation import Conversation, Dialogue
from dragoman.errors import InvalidRequest
from dragoman.media.outcomes import Key, Outcome, Sight, Wanted, wanted, without_attachments
from dragoman.media.reader import MediaReader
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

_ATTACHED: Final = b"base64"
"""In every body with inline data: only such a body's worker gets the attachments that were read last."""


@dataclass(frozen=True, slots=True)
class Read:
    """A parsed and checked request.

    `named`: the fields that identify a conversation or its user, the most specific first. `choices`: how many answers of each
    prompt are requested. `reply`: what else the encoder of the format needs.
    """

    model: str
    stream: bool
    conversation: Conversation
    unknown: Sequence[str] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    usage: bool = True
    choices: int = 1
    reply: Any = None


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


def in_text(read: Read, sight: Sight) -> Read:
    """Return a request without attachments, of which none must be read. Raises `InvalidRequest`."""
    return _resolved(read, sight, {})


def _resolved(read: Read, sight: Sight, outcomes: Mapping[Key, Outcome]) -> Read:
    dialogue = read.conversation.dialogue
    if not dialogue.attachments:
        return read
    return replace(read, conversation=replace(read.conversation, dialogue=without_attachments(dialogue, sight, outcomes)))


async def in_worker(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker process. Raises `InvalidRequest` if it exceeds the limits of a worker, and what it raises."""
    try:
        return await POOL.run(function, *args)
    except TooExpensive as error:
        raise InvalidRequest(f"preparing this request {error}; make it smaller") from None


async def prepared(
    reader: Reader, body: bytes, options: Sequence[Any], prompts: PromptBuilder, media: MediaReader
) -> tuple[Read, Facts, Prompt]:
    """Read and render a request in a worker process. Raises `InvalidRequest`, and what the engine's tokenizer raises."""
    special_tokens = await prompts.special_tokens_in("")
    outcomes = media.recent() if _ATTACHED in body else {}
    while True:
        known = {key: outcome.light for key, outcome in outcomes.items()}
        knowledge = _Knowledge(prompts.renderer, special_tokens, prompts.most_characters, media.sight, known)
        made: _Rendered | dict[Key, Wanted] = await in_worker(_prepare, reader, body, options, knowledge)
        if isinstance(made, dict):
            outcomes |= await media.outcomes(made)
            continue
        fresh = await prompts.special_tokens_in(made.unknown) if made.unknown else []
        if not set(fresh) - set(special_tokens):
            images = {image.digest: image for outcome in outcomes.values() for image in outcome.images}
            rendered = replace(made.rendered, images=made.rendered.images.replaced(images))
            return made.read, made.facts, await prompts.encoded(rendered, made.characters)
        special_tokens = sorted({*special_tokens, *fresh})


@dataclass(frozen=True, slots=True)
class _Knowledge:
    """What a worker needs besides a request; `outcomes` are those of attachments that were read before."""

    renderer: Renderer
    special_tokens: Sequence[str]
    most_characters: int
    sight: Sight
    outcomes: Mapping[Key, Outcome]


def _prepare(reader: Reader, body: bytes, options: Sequence[Any], known: _Knowledge) -> _Rendered | dict[Key, Wanted]:
    """Read and render a request, or return the attachments that must be read before.

    Of a text longer than any window, only the first `most_characters` are returned.
    """
    read = reader(body, *options)
    if missing := wanted(read.conversation.dialogue, known.sight, known.outcomes):
        return missing
    read = _resolved(read, known.sight, known.outcomes)
    text = searchable_text(read.conversation.dialogue)
    spelled = [spelling for spelling in known.special_tokens if spelling in text]
    unknown = candidates(text, known.renderer.names) - set(known.special_tokens)
    rendered = known.renderer.checked(read.conversation, spelled)
    return _Rendered(
        replace(read, conversation=Conversation(Dialogue(), read.conversation.policy)),
        facts_of(read.conversation),
        replace(rendered, text=rendered.text[: known.most_characters]),
        len(rendered.text),
        "\n".join(sorted(unknown)),
    )
