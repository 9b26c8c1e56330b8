"""The interface of what yields the parts of one answer, and the properties of an answer that consists of several."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

from dragoman.constraints.tree import Constraint
from dragoman.parts import Part, PromptTokens, TokenCounts, summed


class AnswerRun(Protocol):
    """One answer while it is generated. `run` may be called once; the properties can be read at any time."""

    @property
    def counts(self) -> TokenCounts:
        """The current token counts."""

    @property
    def prompt_tokens(self) -> PromptTokens | None:
        """The tokens of the prompt, if the request asks for them."""

    @property
    def has_images(self) -> bool:
        """Whether a prompt has images."""

    @property
    def calls(self) -> int:
        """The number of complete calls so far."""

    @property
    def repairs(self) -> Sequence[str]:
        """Names of the repairs that the output needed."""

    @property
    def tool_seconds(self) -> float:
        """The seconds in which the answer waited for tools of the server."""

    @property
    def violations(self) -> Sequence[str]:
        """The violated constraints of the answer."""

    @property
    def written(self) -> Sequence[str]:
        """The raw output so far, in chunks: what the model wrote, and what was added to it or written in its place."""

    @property
    def constraint(self) -> Constraint | None:
        """What the engine enforces, of several rounds in the first; None for nothing."""

    async def prepare(self) -> None:
        """Make what may be refused before anything is sent. Raises `InvalidRequest`."""

    def run(self) -> AsyncGenerator[Part, None]:
        """Yield the parts, an `Ending` last. Closing the iterator stops all work."""


class Runs:
    """The properties of several answers together. Each group of `per_prompt` has one prompt, which counts once."""

    def __init__(self, runs: Iterable[AnswerRun], per_prompt: int = 1) -> None:
        self.runs = [*runs]
        self._per_prompt = per_prompt

    @property
    def counts(self) -> TokenCounts:
        """The current token counts of all."""
        return summed([run.counts for run in self.runs], self._per_prompt)

    @property
    def has_images(self) -> bool:
        """Whether a prompt has images."""
        return any(run.has_images for run in self.runs)

    @property
    def calls(self) -> int:
        """The number of complete calls so far."""
        return sum(run.calls for run in self.runs)

    @property
    def repairs(self) -> Sequence[str]:
        """Names of the repairs that the outputs needed."""
        return [repair for run in self.runs for repair in run.repairs]

    @property
    def tool_seconds(self) -> float:
        """The seconds in which the answers waited for tools of the server."""
        return sum(run.tool_seconds for run in self.runs)

    @property
    def violations(self) -> Sequence[str]:
        """The violated constraints of the answers."""
        return [violation for run in self.runs for violation in run.violations]

    @property
    def written(self) -> Sequence[str]:
        """The raw output so far."""
        return [chunk for run in self.runs for chunk in run.written]

    @property
    def constraint(self) -> Constraint | None:
        """What the engine enforces in the first."""
        return self.runs[0].constraint
