"""A generation: the engine's output, parsed by the dialect and shaped by the output policies into parts.

It takes one engine request, or two: if reasoning is closed early, a second request continues after it, and the engine has the
whole prompt of the first in its cache. A model that repeats itself is stopped: in reasoning as if its budget were spent, in a
structured answer with its shortest completion, anywhere else as it is.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from dragoman.constraints.completion import shortest_completion
from dragoman.constraints.cost import off_the_loop
from dragoman.constraints.tree import Constraint
from dragoman.conversation import AnswerPolicy, ImageSpan, Span, TextSpan, ThinkingPolicy, ToolChoice, tokens_of
from dragoman.dialects import Constrainer, Parser, SpecialMarkers, call_opening
from dragoman.engines import NO_ROUTING, Engine, EngineRequest, Finish, FinishReason, OutputChunk, Routing
from dragoman.engines.sampling import bounded
from dragoman.errors import EngineFailed
from dragoman.generation.constraining import constrained
from dragoman.generation.endings import ENDINGS, EndCause
from dragoman.generation.loop_guard import LoopGuard
from dragoman.generation.output_policies import OutputPolicies
from dragoman.generation.written import Written
from dragoman.parts import Ending, Part, Prefill, PromptTokens, Text, Thinking, TokenCounts, Tokens
from dragoman.prompt import Prompt

_LISTED_AT_ONCE: Final = 10_000
"""Token ids that are listed at once, which takes a millisecond."""


class Generation:
    """One answer, by its policy. `run` may be called once; `counts` can be read at any time.

    `constrains`: the engine enforces constraints. For one that does not, the opening of a forced call is added to the prompt.
    `routing` is passed to its engine requests, and so are the `special_tokens` that the parser looks for. `constraint` is what
    the engine enforces, None for nothing. `markers` are matched by their ids, unless a constraint makes the engine spell them
    (`spells_markers`).
    """

    def __init__(  # noqa: PLR0913 -- constructed once, in `ServedModel`
        self,
        engine: Engine,
        constrainer: Constrainer,
        policy: AnswerPolicy,
        prompt: Prompt,
        *,
        constrains: bool = True,
        routing: Routing = NO_ROUTING,
        special_tokens: Sequence[str] = (),
        markers: SpecialMarkers | None = None,
        spells_markers: bool = True,
    ) -> None:
        self._engine = engine
        self._routing = routing
        self._special_tokens = special_tokens
        self._constrainer = constrainer
        self._constrains = constrains
        self._policy = policy
        self._prompt = prompt
        self._limit = min(policy.max_tokens, prompt.remaining)
        self._markers = markers
        self._spells_markers = spells_markers
        self._parser = self._new_parser(None)
        self._policies = OutputPolicies(policy)
        self._structured = policy.output is not None or policy.tool_policy.forced
        self._loop_guard = LoopGuard(policy.thinking.budget, self._limit, structured=self._structured)
        self._stopped = False
        self._repairs: list[str] = []
        self._report, self._reports = policy.report, policy.report.wanted
        self.constraint: Constraint | None = None
        self._written = Written()  # in this request
        self._pieces: list[Written | str] = []
        self._cached: int | None = None
        self._output = 0
        self._thinking_tokens = 0
        self._drafted = self._accepted = 0

    @property
    def counts(self) -> TokenCounts:
        """The current token counts."""
        return TokenCounts(
            len(self._prompt.tokens),
            self._cached or 0,
            self._output,
            self._thinking_tokens,
            self._drafted,
            self._accepted,
        )

    @property
    def has_images(self) -> bool:
        """Whether the prompt has images."""
        return bool(self._prompt.spans)

    @property
    def prompt_tokens(self) -> PromptTokens | None:
        """The tokens of the prompt, if the request asks for their ids, or for the prompt in the answer."""
        return self._prompt.reported if self._report.ids or self._prompt.echo else None

    @property
    def written(self) -> list[str]:
        """The raw output so far: what the model wrote, and what was added to it or written in its place."""
        return [piece if isinstance(piece, str) else piece.text for piece in self._pieces]

    @property
    def calls(self) -> int:
        """The number of complete calls so far."""
        return self._policies.calls

    @property
    def broke_call(self) -> bool:
        """Whether a call was cut: its block stays, and clients should not run it."""
        return self._policies.broke_call

    @property
    def repairs(self) -> list[str]:
        """Names of the repairs that the output needed."""
        return [*self._parser.repairs, *self._repairs]

    @property
    def tool_seconds(self) -> float:
        """0: tools are run between generations."""
        return 0.0

    @property
    def violations(self) -> list[str]:
        """The violated constraints of the answer."""
        return self._policies.violations

    async def prepare(self) -> None:
        """Make the constraint of the answer before anything is sent, so that an expensive one is refused (ERR-8).

        Raises `InvalidRequest`, and what the engine raises.
        """
        self.constraint = await self._constraint(self._policy, thinking_open=self._prompt.thinking_open)
        if self.constraint is not None:
            await self._engine.prepare(self.constraint)

    async def run(self) -> AsyncGenerator[Part, None]:
        """Yield the parts, an `Ending` last. Raises what the engine raises; closing the iterator stops the engine."""
        prefix = self.forced_opening()
        request = await self._request(prefix, self._policy, thinking_open=self._prompt.thinking_open)
        if self._markers is not None and (request.constraint is None or not self._spells_markers):
            self._parser = self._new_parser(self._markers)
        for part in self._added(prefix, request.tokens[len(self._prompt.tokens) :]):
            yield part
        while True:
            self._written = Written()
            self._pieces.append(self._written)
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    for part in self._read(chunk):
                        yield part
                    if self._policies.end_cause is not None or self._stopped:
                        break
            if self._policies.end_cause is not None or not self._stopped:
                break
            if not self._parser.thinking:
                for part in self._close_with(await self._shortest_completion(request)):
                    yield part
                break
            closer = self._constrainer.dialect.close_thinking
            prefix += self._written.text + closer
            request, added = await self._after_thinking(request, prefix, closer)
            for part in self._added(closer, added):
                yield part
            if request.limit < 1:
                self._policies.end_cause = self._exhausted
                break
        yield self._ending()

    def _new_parser(self, markers: SpecialMarkers | None) -> Parser:
        """Return a parser that matches these markers by their ids."""
        return self._constrainer.dialect.parser(
            self._policy.schemas,
            thinking_open=self._prompt.thinking_open,
            calls_allowed=self._policy.tool_policy.choice is not ToolChoice.NONE,
            markers=markers,
        )

    def forced_opening(self) -> str:
        """Return the opening of a forced call, to be added to the prompt of an engine that cannot enforce it."""
        choice = self._policy.tool_policy
        if self._constrains or not choice.forced:
            return ""
        tools = [tool for tool in self._policy.tools if choice.name in (None, tool.name)]
        closer = self._constrainer.dialect.close_thinking if self._prompt.thinking_open else ""
        return closer + call_opening(self._constrainer.dialect, tools)

    async def _request(
        self, prefix: str, policy: AnswerPolicy, *, thinking_open: bool, tokens: Sequence[int] | None = None
    ) -> EngineRequest:
        """Return the engine request that continues after the prompt and `prefix`; `tokens` are their ids, if they are known."""
        spans = self._prompt.spans
        if tokens is None or spans:
            tokens = self._prompt.tokens
            if prefix:
                spans = await self._extended(spans, prefix)
                tokens = tokens_of(spans) if spans else [*tokens, *await self._engine.tokenize(prefix)]
        limit = min(self._limit - self._output, self._prompt.remaining - (len(tokens) - len(self._prompt.tokens)))
        constraint = await self._constraint(policy, thinking_open=thinking_open)
        return EngineRequest(
            await _listed(tokens),
            limit,
            bounded(policy.sampling),
            constraint,
            self._routing,
            spans,
            self._special_tokens,
            ids=self._reports,
            top=self._report.top,
        )

    async def _extended(self, spans: Sequence[Span], prefix: str) -> Sequence[Span]:
        """Return the spans of a prompt with images and the text `prefix` after it; nothing if it has no images.

        The last text is tokenized again with what follows it, as the engine does.
        """
        if not spans:
            return ()
        *before, last = spans
        before = [*before, last] if isinstance(last, ImageSpan) else before
        text = prefix if isinstance(last, ImageSpan) else last.text + prefix
        tokens = await self._engine.tokenize(text)
        return [*before, TextSpan(text, tokens, len(tokens))]

    async def _constraint(self, policy: AnswerPolicy, *, thinking_open: bool) -> Constraint | None:
        """Return the constraint, None if there is none. Raises `InvalidRequest` if it is too expensive to make."""
        return await constrained(self._constrainer, policy, thinking_open=thinking_open) if self._constrains else None

    async def _after_thinking(self, request: EngineRequest, prefix: str, closer: str) -> tuple[EngineRequest, Sequence[int]]:
        """Return the request that continues after the reasoning, which `closer` ends, and the ids of `closer`.

        The limit of the request may be reached. If the ids that the model wrote are known, its prompt has these very ids.
        """
        self._repairs.append("reasoning closed")
        self._loop_guard = LoopGuard(None, self._limit, structured=self._structured)
        self._stopped = False
        written = self._written.ids
        added = await self._engine.tokenize(closer) if written is not None else ()
        tokens = [*request.tokens, *written, *added] if written is not None else None
        policy = replace(self._policy, thinking=ThinkingPolicy())
        return await self._request(prefix, policy, thinking_open=False, tokens=tokens), added

    async def _shortest_completion(self, request: EngineRequest) -> str | None:
        """Return the shortest text that completes a structured answer from where the model stopped."""
        if not self._structured or request.constraint is None:
            return None
        return await off_the_loop(request.constraint, shortest_completion, request.constraint, self._written.text)

    def _close_with(self, completion: str | None) -> Iterator[Part]:
        """End the answer of a stopped model, with the completion if there is one."""
        self._repairs.append("repetition stopped")
        yield from self._parts_of(completion or "")
        yield from self._policies.apply(self._parser.finish(cut=completion is None))
        yield from self._policies.flush()
        if self._policies.end_cause is None:
            incomplete = completion is None and not self._policies.broke_call
            self._policies.end_cause = EndCause.REPETITION if incomplete else self._policies.ended

    def _read(self, chunk: OutputChunk) -> Iterator[Part]:
        if chunk.prefill is not None:
            self._cached = chunk.prefill.cached if self._cached is None else self._cached
            yield Prefill(chunk.prefill.total, chunk.prefill.cached or 0, chunk.prefill.done)
        self._output += chunk.output
        self._written.add(chunk)
        if self._reports and chunk.ids:
            yield Tokens(chunk.ids, chunk.logprobs)
        began_thinking = self._parser.thinking
        parts = self._parser.feed(chunk.text, chunk.ids) if chunk.text else []
        self._thinking_tokens += _thinking_tokens(chunk, parts, began_thinking=began_thinking)
        yield from self._policies.apply(parts)
        self._stopped = self._loop_guard.should_stop(
            self._written, output=self._output, thought=self._thinking_tokens, thinking=self._parser.thinking
        )
        if chunk.finish is not None:
            self._cached = chunk.finish.cached if self._cached is None else self._cached
            self._drafted += chunk.finish.drafts.drafted
            self._accepted += chunk.finish.drafts.accepted
            if self._policies.end_cause is None:
                yield from self._finish(chunk.finish)

    def _added(self, text: str, ids: Sequence[int]) -> Iterator[Part]:
        """Yield the parts of text that was added to the prompt."""
        if ids and self._reports:
            yield Tokens(ids)
        yield from self._parts_of(text)

    def _parts_of(self, text: str) -> Iterator[Part]:
        """Yield the parts of text that was added to the prompt or written in place of the model."""
        if text:
            self._pieces.append(text)
            yield from self._policies.apply(self._parser.feed(text))

    def _finish(self, finish: Finish) -> Iterator[Part]:
        """Handle the engine's finish. Text that was held back is sent, unless it completes a stop sequence."""
        cut = finish.reason is FinishReason.LENGTH
        yield from self._policies.apply(self._parser.finish(cut=cut))
        if self._policies.end_cause is not None:
            return
        yield from self._policies.flush()
        if self._policies.end_cause is not None:  # a stop sequence, in text that could have been cited
            return
        if cut:
            self._policies.end_cause = self._exhausted
        else:
            self._policies.settle()

    @property
    def _exhausted(self) -> EndCause:
        """The end cause of an answer that reached its limit."""
        return EndCause.WINDOW_FULL if self._limit < self._policy.max_tokens else EndCause.OUTPUT_LIMIT

    def _ending(self) -> Ending:
        if self._policies.end_cause is None:
            raise EngineFailed("the engine closed its stream without a finish")
        return Ending(ENDINGS[self._policies.end_cause], self.counts, self._policies.matched)


async def _listed(ids: Sequence[int]) -> Sequence[int]:
    """Return the ids as a list, which every engine can encode; other tasks run before each piece of a long one."""
    if isinstance(ids, list):
        return ids
    listed: list[int] = []
    for start in range(0, len(ids), _LISTED_AT_ONCE):
        if len(ids) > _LISTED_AT_ONCE:
            await asyncio.sleep(0)
        listed += ids[start : start + _LISTED_AT_ONCE]
    return listed


def _thinking_tokens(chunk: OutputChunk, parts: Sequence[Part], *, began_thinking: bool) -> int:
    """Return how many of a chunk's tokens are reasoning: all, none, or the same share as of its characters."""
    if began_thinking:
        shown = sum(len(part.text) for part in parts if type(part) is Text)
        return chunk.output - round(chunk.output * min(shown / len(chunk.text), 1)) if shown else chunk.output
    thought = 0
    for part in parts:  # no generator: this runs for every token
        if type(part) is Thinking:
            thought += len(part.text)
    return round(chunk.output * min(thought / len(chunk.text), 1)) if thought else 0
