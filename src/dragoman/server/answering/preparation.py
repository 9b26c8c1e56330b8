"""Reads a body and renders its prompt: on the event loop, or in a worker process if it is large or has attachments to read.

One job parses, checks, lowers and renders a body. It returns the text of the prompt, and of the conversation only the policy
for the answer. The worker gets the special tokens and the attachments that the parent process knows; if the request has others,
the job runs again with them, which happens once for each. The bytes of images stay in the parent process.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dragoman.conversation import Conversation, Dialogue, Image
from dragoman.conversation.compaction import Compaction
from dragoman.conversation.context_edits import ContextEdit, Plan, apply
from dragoman.media.outcomes import Key, Outcome, Sight, Wanted, wanted, without_attachments
from dragoman.media.reader import MediaReader
from dragoman.observability.content_statistics import content_statistics
from dragoman.observability.log_entry import Volume
from dragoman.observability.prefix_tracker import Trail, trail_of
from dragoman.prompt import Prompt, PromptBuilder
from dragoman.server.answering.rendering import RenderedText, Rendering, in_worker, rendered

LARGE_BODY: Final = 128 * 1024
"""Size in bytes above which a body is handled in a worker process."""
MANY_OBJECTS: Final = 2_000
"""Number of JSON objects and arrays above which a body of any size is handled in a worker process."""
MANY_STRINGS: Final = 5_000
"""Number of strings before a comma, above which the same holds: stop sequences, for example."""

_ATTACHED: Final = b"base64"
"""In every body with inline data: only such a body's worker gets the attachments that were read last."""
_SEARCHED: Final = 1 << 20
"""Bytes of a body that are searched at once."""


@dataclass(frozen=True, slots=True)
class Read:
    """A parsed and checked request.

    `named`: the fields that identify a conversation or its user, the most specific first. `choices`: how many answers of each
    prompt are requested. `reply`: what else the encoder of the format needs. `edits` are those of the context that the client
    asks for, as is `compaction`, and `cleared` is how much each edit of a plan has cleared; `diagnosed`: it asks why the cache
    missed, since an earlier answer of that id, or an empty one. `input_ids`: the prompt, if the client rendered it.
    """

    model: str
    stream: bool
    conversation: Conversation
    unknown: Sequence[str] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    usage: bool = True
    choices: int = 1
    reply: Any = None
    edits: Sequence[ContextEdit] = ()
    compaction: Compaction | None = None
    cleared: Sequence[int] = ()
    diagnosed: str | None = None
    input_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The data about a conversation that the log and the prefix tracker keep."""

    content: Mapping[str, Volume]
    trail: Trail


@dataclass(frozen=True, slots=True)
class _Made:
    """The result of a worker; `read` has no turns, unless the request has server tools: then nothing is rendered yet.

    Nothing is rendered of a request with `input_ids`.
    """

    read: Read
    facts: Facts | None
    text: RenderedText | None


@dataclass(frozen=True, slots=True)
class InWorker:
    """A request that a worker process has read. `images` are those of the conversation, by their digests.

    `prompt` is None for a request with `input_ids`, and for one with server tools or a compaction, whose conversation is kept:
    each round of its answer renders it again.
    """

    read: Read
    facts: Facts | None
    prompt: Prompt | None
    images: Mapping[str, Image]


Reader = Callable[..., Read]
"""A module-level function that reads a body: `reader(body, *options)`. Raises `InvalidRequest`."""


def is_large(body: bytes) -> bool:
    """Whether work on a body may take too long for the event loop."""
    return len(body) > LARGE_BODY or body.count(b"{") + body.count(b"[") > MANY_OBJECTS or body.count(b'",') > MANY_STRINGS


def facts_of(read: Read) -> Facts | None:
    """Return the facts of the conversation of a request; None for one with `input_ids`, which has none."""
    if read.input_ids is not None:
        return None
    return Facts(content_statistics(read.conversation), trail_of(read.conversation))


def in_text(read: Read, sight: Sight, plan: Plan = ()) -> Read:
    """Return an edited request without attachments, of which none must be read. Raises `InvalidRequest`."""
    return _resolved(read, sight, {}, plan)


def _resolved(read: Read, sight: Sight, outcomes: Mapping[Key, Outcome], plan: Plan) -> Read:
    dialogue = read.conversation.dialogue
    if not dialogue.attachments and not plan:
        return read
    if dialogue.attachments:
        dialogue = without_attachments(dialogue, sight, outcomes)
    policy = replace(read.conversation.policy, passages=dialogue.passages)
    dialogue, cleared = apply(dialogue, plan)
    return replace(read, conversation=Conversation(dialogue, policy), cleared=cleared)


async def prepared(  # noqa: PLR0913, PLR0917 -- a job, and what it needs of the model
    reader: Reader,
    body: bytes,
    options: Sequence[Any],
    prompts: PromptBuilder,
    media: MediaReader,
    sight: Sight,
    plan: Plan = (),
) -> InWorker:
    """Read and render a request in a worker process. Raises `InvalidRequest`, and what the engine's tokenizer raises."""
    special_tokens: Sequence[str] = prompts.special_tokens.known
    outcomes = media.recent()
    if outcomes and not await _holds(body, _ATTACHED):
        outcomes = {}
    while True:
        known = {key: outcome.light for key, outcome in outcomes.items()}
        rendering = Rendering.by(prompts, special_tokens)
        made: _Made | dict[Key, Wanted] = await in_worker(_prepare, reader, body, options, rendering, sight, known, plan)
        if isinstance(made, dict):
            outcomes |= await media.outcomes(made)
            continue
        images = {image.digest: image for outcome in outcomes.values() for image in outcome.images}
        if made.text is None:
            return InWorker(made.read, made.facts, None, images)
        fresh = await made.text.new_tokens(prompts, special_tokens)
        if not fresh:
            return InWorker(made.read, made.facts, await made.text.prompt(prompts, images), images)
        special_tokens = sorted({*special_tokens, *fresh})


async def _holds(body: bytes, word: bytes) -> bool:
    """Whether a word is in a body; other tasks run between its slices, each of which takes a millisecond."""
    for start in range(0, len(body), _SEARCHED):
        if body.find(word, start, start + _SEARCHED + len(word) - 1) >= 0:
            return True
        await asyncio.sleep(0)
    return False


def _prepare(  # noqa: PLR0913, PLR0917 -- what crosses to a worker process
    reader: Reader,
    body: bytes,
    options: Sequence[Any],
    rendering: Rendering,
    sight: Sight,
    outcomes: Mapping[Key, Outcome],
    plan: Plan,
) -> _Made | dict[Key, Wanted]:
    """Read and render a request, or return the attachments that must be read before."""
    read = reader(body, *options)
    if missing := wanted(read.conversation.dialogue, sight, outcomes):
        return missing
    read = _resolved(read, sight, outcomes, plan)
    if read.conversation.policy.server_tools or read.compaction or read.input_ids is not None:
        return _Made(read, facts_of(read), None)
    text = rendered(read.conversation, rendering)
    without_turns = replace(read, conversation=Conversation(Dialogue(), read.conversation.policy))
    return _Made(without_turns, facts_of(read), text)
