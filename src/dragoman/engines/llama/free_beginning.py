"""Answers that a constraint restricts only from a call on: the model begins them without a grammar.

A grammar costs time before the first token, since llama.cpp compiles it for each request (170 ms for 300 tools), and at each
token, since llguidance computes which tokens of the vocabulary are allowed (2 ms for 150,000). Most of an agent's answers are
free text up to a call, if there is one. So the server gets two requests: the first has no grammar and stops at the text that
begins a call, the second continues with the grammar. Its slot has the prompt and all that was written in its cache then.
"""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from dragoman.constraints.tree import Opening
from dragoman.engines.base import NO_DRAFTS, Drafts, EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.llama.wire import CompletionReader

Detokenize = Callable[[Sequence[int]], Awaitable[str]]
Tokenize = Callable[[str], Awaitable[list[int]]]


class FreeBeginning:
    """The beginning of one answer, and what follows it.

    `request` is the next one to send, and `reader` reads its reply. While it has no constraint, it stops at any of `stops`.
    """

    def __init__(self, request: EngineRequest, opening: Opening) -> None:
        self.request = replace(request, constraint=None, ids=True)
        self.reader = CompletionReader()
        self.stops = [opening.text, *opening.barred]
        self._first = request
        self._opening = opening
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._output = 0
        self._drafts = NO_DRAFTS

    @classmethod
    def of(cls, request: EngineRequest) -> "FreeBeginning | None":
        """The beginning of a request's answer; None if it cannot be split, as with images or if the client gets its tokens."""
        opening = request.constraint.opening if request.constraint is not None else None
        is_whole = request.spans or request.ids or request.top is not None or request.limit < 1
        return None if opening is None or is_whole else cls(request, opening)

    @property
    def has_begun(self) -> bool:
        """Whether text was passed on: the answer cannot be begun again."""
        return bool(self._texts)

    def passed(self, chunk: OutputChunk) -> OutputChunk | None:
        """A chunk of a reply as it is passed on; nothing for the progress of all but the first, whose prompts are cached.

        A stop does not end the answer.
        """
        if chunk.prefill is not None:
            return chunk if self.request.tokens is self._first.tokens else None
        self._texts.append(chunk.text)
        self._ids += chunk.ids
        self._output += chunk.output
        if chunk.finish is None:
            return chunk
        drafts = chunk.finish.drafts
        self._drafts = Drafts(self._drafts.drafted + drafts.drafted, self._drafts.accepted + drafts.accepted)
        return replace(chunk, finish=None if self.reader.stopped_at else replace(chunk.finish, drafts=self._drafts))

    async def go_on(self, tokenize: Tokenize, detokenize: Detokenize) -> OutputChunk:
        """Set the request that continues where the last one stopped. Returns the text of that place, whose tokens are counted.

        A text that may not be there is left out. The answer ends if its limit is used up.
        """
        opening, stop = self._opening, self.reader.stopped_at
        if self._inside_reasoning():
            text, constraint = stop, None
        else:
            text, constraint = (stop, opening.after) if stop == opening.text else ("", opening.instead)
        self._texts.append(text)
        written = "".join(self._texts)
        if not text or await detokenize(self._ids) != written:
            self._ids = await tokenize(written)
        self.reader = CompletionReader()
        self.request = replace(
            self.request,
            tokens=[*self._first.tokens, *self._ids],
            limit=self._first.limit - self._output,
            constraint=constraint,
            ids=constraint is None,
        )
        return OutputChunk(text, finish=Finish(FinishReason.LENGTH, drafts=self._drafts) if self.request.limit < 1 else None)

    def _inside_reasoning(self) -> bool:
        """Whether the text so far ends inside of reasoning that is free text."""
        opening, text = self._opening, "".join(self._texts)
        begun = max([-1, *map(text.rfind, opening.thinking_opens)])
        ended = max([-1, *map(text.rfind, opening.thinking_closes)])
        return opening.thinking_open if begun == ended else begun > ended
