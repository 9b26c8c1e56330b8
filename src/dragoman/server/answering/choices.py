"""The choices of one answer: several generations of a prompt, or of several prompts.

Each choice takes a slot like a request of its own, and each prompt is computed once: its first choice begins alone, and the
others follow together once it answers, as the engine then has the prompt in its cache. Where each slot has a cache of its own,
the choices of a prompt run in turn. Prompts run side by side. If a choice fails, the others end.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any

from dragoman.conversation import AnswerPolicy
from dragoman.generation import AnswerRun, Runs

RunChoice = Callable[[int, Callable[[], None]], Coroutine[Any, Any, None]]
"""Runs the choice with this index; calls the given function when it has begun to answer."""


class Choices(Runs):
    """The choices of an answer; each group of `per_prompt` has one prompt, and runs `together` or in turn."""

    def __init__(self, answers: Sequence[AnswerRun], per_prompt: int = 1, *, together: bool = True) -> None:
        super().__init__(answers, per_prompt)
        self._together = together

    def run(self, choice: RunChoice) -> Coroutine[Any, Any, None]:
        """Run all choices. Awaiting it raises what the first one that fails raises, after the others have ended."""
        return choice(0, lambda: None) if len(self.runs) == 1 else self._run_all(choice)

    async def _run_all(self, choice: RunChoice) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(self.runs), self._per_prompt):
                    group.create_task(self._run_prompt(choice, first))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _run_prompt(self, choice: RunChoice, first: int) -> None:
        """Run the choices of one prompt: the others once the first one has begun to answer, or in turn."""
        if not self._together:
            for index in range(first, first + self._per_prompt):
                await choice(index, lambda: None)
            return
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(choice(first, began.set))
            await began.wait()
            for index in range(first + 1, first + self._per_prompt):
                group.create_task(choice(index, lambda: None))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of a group, in which there may be groups."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def each(policy: AnswerPolicy, choices: int) -> Iterator[AnswerPolicy]:
    """Yield the policy of each choice: with a seed, each has its own, so that the answers differ and can be repeated."""
    seed = policy.sampling.seed
    for index in range(choices):
        yield policy if seed is None else replace(policy, sampling=replace(policy.sampling, seed=seed + index))
