"""Edits the context of a request as its client asks for, and says what each edit saved.

An edit is applied if the prompt reaches its trigger, and its saving is measured by rendering the edited prompt. The first
prompt after an edit differs early from the one before it: the engine computes it again from there, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dragoman.conversation.context_edits import AppliedEdit, Plan
from dragoman.prompt import Prompt
from dragoman.server.answering.incoming import Incoming, Prepared
from dragoman.server.models.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Managed:
    """A request with its prompt after the edits. `original` is the length of the prompt before them, in tokens."""

    made: Prepared
    prompt: Prompt
    original: int
    applied: Sequence[AppliedEdit] = ()

    @property
    def notes(self) -> Sequence[str]:
        """Notes for the log about the prompt and the edits."""
        return [*self.prompt.notes, *map(str, self.applied)]


async def managed(incoming: Incoming, model: ServedModel, owner: str, made: Prepared) -> Managed:
    """Return the request with its prompt, edited if it wants that. `owner` is as in `Incoming.prepared`.

    Raises `InvalidRequest`, and what building raises.
    """
    prompt = await made.prompt_of(model)
    original = prompt.length
    applied: list[AppliedEdit] = []
    plan: Plan = ()
    for edit in made.read.edits:
        if not edit.may_apply(prompt.length):
            continue
        further = [*plan, (edit, prompt.length)]
        edited = (await incoming.prepared(model, owner, further)).with_tools(made.tools)
        if not edited.read.cleared[-1]:
            continue
        shorter = await edited.prompt_of(model)
        saved = prompt.length - shorter.length
        if saved > 0 and saved >= edit.at_least:
            applied.append(AppliedEdit(edit, edited.read.cleared[-1], saved))
            made, prompt, plan = edited, shorter, further
    return Managed(made, prompt, original, applied)
