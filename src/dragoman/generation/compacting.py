"""An answer that begins with the compaction of its conversation: the model writes a summary, and goes on after it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from msgspec.structs import replace

from dragoman.generation.answer_run import AnswerRun, Runs
from dragoman.generation.generation import Generation
from dragoman.parts import Compacted, Ending, Part, Prefill, PromptTokens, StopReason, Text

Content = Callable[[str], str]
"""Makes the content of a compaction of what the model wrote; empty if it wrote no summary."""
Proceed = Callable[[str], Awaitable[AnswerRun]]
"""Makes the answer that follows a summary; an empty one changes nothing. Raises `PromptTooLong`, and as the engine does."""


class Compacting(Runs):
    """One answer: `summary` writes the summary. `proceed` makes the rest of the answer; None: the answer ends there."""

    def __init__(self, summary: Generation, content: Content, proceed: Proceed | None) -> None:
        super().__init__([summary])
        self._content = content
        self._proceed = proceed

    @property
    def prompt_tokens(self) -> PromptTokens | None:
        """The tokens of the first prompt, if the request asks for them."""
        return self.runs[0].prompt_tokens

    async def prepare(self) -> None:
        """Make the constraint of the summary. Raises `InvalidRequest`, and what the engine raises."""
        await self.runs[0].prepare()

    async def run(self) -> AsyncGenerator[Part, None]:
        """Yield the compaction, then the parts of the answer. Closing the iterator stops the engine."""
        texts: list[str] = []
        async with aclosing(self.runs[0].run()) as parts:
            async for part in parts:
                if isinstance(part, Text):
                    texts.append(part.text)
                elif isinstance(part, Prefill):
                    yield part
        content = self._content("".join(texts))
        spent = self.runs[0].counts
        yield Compacted(content or None)
        if self._proceed is None:
            yield Ending(StopReason.COMPACTION, spent, compaction=spent)
            return
        self.runs.append(await self._proceed(content))
        async with aclosing(self.runs[1].run()) as parts:
            async for part in parts:
                yield replace(part, compaction=spent) if isinstance(part, Ending) else part
