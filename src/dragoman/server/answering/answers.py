"""Makes the answers of a request of their prompt: generations, loops of server tools, and compactions of the conversation."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from dragoman.conversation import Conversation
from dragoman.conversation.compaction import Compaction
from dragoman.engines import Routing
from dragoman.generation import AnswerRun, Generation, ToolLoop
from dragoman.generation.compacting import Compacting
from dragoman.prompt import Prompt
from dragoman.server.answering.choices import each
from dragoman.server.answering.incoming import Prepared
from dragoman.server.models.served_model import ServedModel

_NOTHING: Final = "(nothing)"
"""The beginning of no path."""


async def answers_of(made: Prepared, prompt: Prompt, model: ServedModel, routing: Routing) -> Sequence[AnswerRun]:
    """Return the answers to a prompt, one for each choice. Raises `PromptTooLong`, and what the constraint raises."""
    conversation = made.read.conversation
    generations = [model.generate(policy, prompt, routing) for policy in each(conversation.policy, made.read.choices)]
    await generations[0].prepare()
    if not made.tools.tools:
        return generations
    proceed = partial(_next_round, made, model, routing)
    return [ToolLoop(first, conversation, made.tools.tools, proceed) for first in generations]


async def _next_round(
    made: Prepared, model: ServedModel, routing: Routing, conversation: Conversation
) -> tuple[Conversation, Generation]:
    """Return the generation of a later round of an answer with server tools, and its conversation without attachments.

    Raises `PromptTooLong`, as the engine does.
    """
    read = await _with_results_read(conversation, model)
    return read, model.generate(read.policy, await made.prompt_for(read, model), routing)


async def _with_results_read(conversation: Conversation, model: ServedModel) -> Conversation:
    """Return the conversation with text and images in the place of what the tools of the server found.

    What cannot be read becomes a note: it must not end the answer. Raises `Overloaded`.
    """
    dialogue = await model.media.read(replace(conversation.dialogue, newest=_NOTHING))
    return Conversation(dialogue, replace(conversation.policy, passages=dialogue.passages))


async def compacting(compaction: Compaction, made: Prepared, model: ServedModel, routing: Routing) -> Compacting:
    """Return the answer that begins with a summary of the conversation. Raises `PromptTooLong`, as the engine does."""
    conversation = made.read.conversation
    asked = compaction.summarized(conversation)
    summary = model.generate(asked.policy, await made.prompt_for(asked, model), routing)
    await summary.prepare()

    async def proceed(content: str) -> AnswerRun:
        after = compaction.compacted(conversation, content) if content else conversation
        changed = made.with_conversation(after)
        (answer,) = await answers_of(changed, await made.prompt_for(after, model), model, routing)
        return answer

    return Compacting(
        summary, partial(compaction.content, dialogue=conversation.dialogue), None if compaction.pause else proceed
    )
