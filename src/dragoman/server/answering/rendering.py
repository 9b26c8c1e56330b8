"""Renders conversations: on the event loop, or in a worker process if they are large."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dragoman.conversation import Conversation, Image
from dragoman.errors import InvalidRequest
from dragoman.prompt import Prompt, PromptBuilder, Rendered, Renderer
from dragoman.prompt.spellings import candidates_in
from dragoman.worker_pool import POOL, TooExpensive


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a worker needs to render for a model: of a text longer than any window, it returns the first `most_characters`."""

    renderer: Renderer
    special_tokens: Sequence[str]
    most_characters: int

    @classmethod
    def by(cls, prompts: PromptBuilder, special_tokens: Sequence[str]) -> "Rendering":
        """The rendering of a model that knows these special tokens."""
        return cls(prompts.renderer, special_tokens, prompts.most_characters)


@dataclass(frozen=True, slots=True)
class RenderedText:
    """The text of a prompt, its whole length in characters, and the candidates for special tokens that are not known."""

    rendered: Rendered
    characters: int
    unknown: Sequence[str]

    async def new_tokens(self, prompts: PromptBuilder, known: Sequence[str]) -> Sequence[str]:
        """The special tokens among the candidates. Raises what the engine's tokenizer raises."""
        return sorted(set(await prompts.special_tokens.of(self.unknown)) - set(known))

    async def prompt(self, prompts: PromptBuilder, images: Mapping[str, Image]) -> Prompt:
        """The prompt, with the images of these digests. Raises what the engine's tokenizer raises."""
        return await prompts.encoded(with_images(self.rendered, images), self.characters)


def with_images(rendered: Rendered, images: Mapping[str, Image]) -> Rendered:
    """The same with the images that have their bytes."""
    return replace(rendered, images=rendered.images.replaced(images))


async def in_worker(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker process. Raises `InvalidRequest` if it exceeds the limits of a worker, and what it raises."""
    try:
        return await POOL.run(function, *args)
    except TooExpensive as error:
        raise InvalidRequest(f"preparing this request {error}; make it smaller") from None


def rendered(conversation: Conversation, by: Rendering) -> RenderedText:
    """Render a conversation without attachments. Raises `InvalidRequest` if the template refuses it."""
    found = candidates_in(conversation.dialogue, by.renderer.names)
    made = by.renderer.checked(conversation, sorted(found.intersection(by.special_tokens)))
    shortened = replace(made, text=made.text[: by.most_characters])
    return RenderedText(shortened, len(made.text), sorted(found.difference(by.special_tokens)))


async def prompt_in_worker(conversation: Conversation, prompts: PromptBuilder, images: Mapping[str, Image]) -> Prompt:
    """The prompt of a conversation, rendered in a worker process.

    Raises `InvalidRequest`, and what the engine's tokenizer raises.
    """
    known: Sequence[str] = prompts.special_tokens.known
    while True:
        made: RenderedText = await in_worker(rendered, conversation, Rendering.by(prompts, known))
        fresh = await made.new_tokens(prompts, known)
        if not fresh:
            return await made.prompt(prompts, images)
        known = sorted({*known, *fresh})
