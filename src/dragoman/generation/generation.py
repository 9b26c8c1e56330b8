"""One turn: what the engine says, read by the dialect, shaped by the policies, told as parts.

A turn is one job, or two: where reasoning is closed by force, the engine goes on from there in another, and has all of the
first one's prompt in its cache. A model that goes round in circles is stopped: in reasoning as if its budget were spent, in an
answer that was promised by the shortest way to its end, elsewhere where it stands.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from dragoman.constraints.completion import way_out
from dragoman.constraints.cost import off_the_loop
from dragoman.constraints.tree import Constraint
from dragoman.conversation import Conversation, ThinkingPolicy, ToolChoice
from dragoman.dialects import Constrainer, call_opening
from dragoman.engines import Engine, EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.sampling import bounded
from dragoman.errors import EngineFailed
from dragoman.generation.constraining import constrained
from dragoman.generation.endings import ENDINGS, EndCause
from dragoman.generation.loop_guard import LoopGuard
from dragoman.generation.output_policies import OutputPolicies
from dragoman.parts import Ending, Part, Prefill, Text, Thinking, TokenCounts
from dragoman.prompt import Prompt


class Generation:
    """One answer to one conversation. `run` may be called once; `counts` can be read at any time.

    `constrains`: the engine holds constraints. For one that does not, the opening of a forced call is written into the prompt.
    `adapter` and `affinity` are those of its jobs.
    """

    def __init__(  # noqa: PLR0913 -- put together once, in the service
        self,
        engine: Engine,
        constrainer: Constrainer,
        conversation: Conversation,
        prompt: Prompt,
        *,
        constrains: bool = True,
        adapter: str | None = None,
        affinity: str | None = None,
    ) -> None:
        self._engine = engine
        self._adapter = adapter
        self._affinity = affinity
        self._constrainer = constrainer
        self._constrains = constrains
        self._conversation = conversation
        self._prompt = prompt
        self._limit = min(conversation.max_tokens, prompt.remaining)
        self._parser = constrainer.dialect.parser(
            conversation.schemas,
            thinking_open=prompt.thinking_open,
            calls_allowed=conversation.tool_policy.choice is not ToolChoice.NONE,
        )
        self._shaper = OutputPolicies(conversation)
        self._promised = conversation.output is not None or conversation.tool_policy.forced
        self._watch = LoopGuard(conversation.thinking.budget, self._limit, promised=self._promised)
        self._astray = False
        self._mended: list[str] = []
        self._written: list[str] = []  # what the model wrote in this job
        self._cached: int | None = None
        self._output = 0
        self._thinking_tokens = 0

    @property
    def counts(self) -> TokenCounts:
        """The counts as they are now."""
        return TokenCounts(len(self._prompt.tokens), self._cached or 0, self._output, self._thinking_tokens)

    @property
    def calls(self) -> int:
        """Whole calls so far."""
        return self._shaper.calls

    @property
    def broke_call(self) -> bool:
        """Was a call cut? Its block stands, and nobody should run it."""
        return self._shaper.broke_call

    @property
    def repairs(self) -> list[str]:
        """Names of the repairs that the output needed."""
        return [*self._parser.repairs, *self._mended]

    @property
    def violations(self) -> list[str]:
        """What the answer should have been, and is not."""
        return self._shaper.violations

    async def prepare(self) -> None:
        """Make what the answer will be held to, before anything is sent: what costs too much is refused (ERR-8).

        Raises `InvalidRequest`, and what the engine raises.
        """
        constraint = await self._constraint(self._conversation, thinking_open=self._prompt.thinking_open)
        if constraint is not None:
            await self._engine.prepare(constraint)

    async def run(self) -> AsyncGenerator[Part, None]:
        """The parts, an `Ending` last. Raises what the engine raises; closing the iterator stops the engine."""
        behind = self.forced_opening()
        for part in self._told(behind):
            yield part
        job: EngineRequest | None = await self._job(behind, self._conversation, thinking_open=self._prompt.thinking_open)
        while job is not None:
            self._written.clear()
            async with aclosing(self._engine.generate(job)) as pieces:
                async for piece in pieces:
                    for part in self._read(piece):
                        yield part
                    if self._shaper.happened is not None or self._astray:
                        break
            if self._shaper.happened is not None or not self._astray:
                break
            if self._parser.thinking:
                closer = self._constrainer.dialect.close_thinking
                for part in self._told(closer):
                    yield part
                behind = "".join([behind, *self._written, closer])
                job = await self._after_thinking(behind)
            else:
                for part in self._close_with(await self._shortest_completion(job)):
                    yield part
                break
        yield self._ending()

    def forced_opening(self) -> str:
        """What is written for the model, where the engine cannot make it write that."""
        policy = self._conversation.tool_policy
        if self._constrains or not policy.forced:
            return ""
        tools = [tool for tool in self._conversation.callable if policy.name in (None, tool.name)]
        closer = self._constrainer.dialect.close_thinking if self._prompt.thinking_open else ""
        return closer + call_opening(self._constrainer.dialect, tools)

    async def _job(self, written: str, conversation: Conversation, *, thinking_open: bool) -> EngineRequest:
        """Go on behind `written`."""
        tokens = self._prompt.tokens
        limit = self._limit - self._output
        if written:
            tokens = [*tokens, *await self._engine.tokenize(written)]
            limit = min(limit, self._prompt.remaining - (len(tokens) - len(self._prompt.tokens)))
        constraint = await self._constraint(conversation, thinking_open=thinking_open)
        return EngineRequest(tokens, limit, bounded(conversation.sampling), constraint, self._adapter, self._affinity)

    async def _constraint(self, conversation: Conversation, *, thinking_open: bool) -> Constraint | None:
        """Raises `InvalidRequest` where it costs too much to make."""
        return await constrained(self._constrainer, conversation, thinking_open=thinking_open) if self._constrains else None

    async def _after_thinking(self, written: str) -> EngineRequest | None:
        """The job that goes on behind the reasoning that was closed; None where there is no room for it."""
        self._mended.append("reasoning closed")
        self._watch = LoopGuard(None, self._limit, promised=self._promised)
        self._astray = False
        job = await self._job(written, replace(self._conversation, thinking=ThinkingPolicy()), thinking_open=False)
        if job.limit < 1:
            self._shaper.happened = self._exhausted
            return None
        return job

    async def _shortest_completion(self, job: EngineRequest) -> str | None:
        """How an answer that was promised could end, from where the model stands."""
        if not self._promised or job.constraint is None:
            return None
        return await off_the_loop(job.constraint, way_out, job.constraint, "".join(self._written))

    def _close_with(self, way: str | None) -> Iterator[Part]:
        """The model is stopped: behind the way out if there is one, else where it stands."""
        self._mended.append("repetition stopped")
        yield from self._told(way or "")
        yield from self._shaper.apply(self._parser.finish(cut=way is None))
        yield from self._shaper.flush()
        if self._shaper.happened is None:
            stands = way is None and not self._shaper.broke_call
            self._shaper.happened = EndCause.REPETITION if stands else self._shaper.ended

    def _read(self, piece: OutputChunk) -> Iterator[Part]:
        if piece.prefill is not None:
            self._cached = piece.prefill.cached if self._cached is None else self._cached
            yield Prefill(piece.prefill.total, piece.prefill.cached or 0, piece.prefill.done)
        self._output += piece.output
        self._written.append(piece.text)
        began_thinking = self._parser.thinking
        parts = self._parser.feed(piece.text) if piece.text else []
        self._thinking_tokens += _thinking_tokens(piece, parts, began_thinking=began_thinking)
        yield from self._shaper.apply(parts)
        self._astray = self._watch.should_stop(
            piece.text, output=self._output, thought=self._thinking_tokens, thinking=self._parser.thinking
        )
        if piece.finish is not None:
            self._cached = piece.finish.cached if self._cached is None else self._cached
            if self._shaper.happened is None:
                yield from self._finish(piece.finish)

    def _told(self, text: str) -> Iterator[Part]:
        """The parts of what was written for the model."""
        if text:
            yield from self._shaper.apply(self._parser.feed(text))

    def _finish(self, finish: Finish) -> Iterator[Part]:
        """The engine stopped by itself. Text that was held back turns out to be text, or still completes a stop sequence."""
        cut = finish.reason is FinishReason.LENGTH
        yield from self._shaper.apply(self._parser.finish(cut=cut))
        if self._shaper.happened is not None:
            return
        yield from self._shaper.flush()
        if cut:
            self._shaper.happened = self._exhausted
        else:
            self._shaper.settle()

    @property
    def _exhausted(self) -> EndCause:
        """Which of the limits it was."""
        return EndCause.WINDOW_FULL if self._limit < self._conversation.max_tokens else EndCause.OUTPUT_LIMIT

    def _ending(self) -> Ending:
        if self._shaper.happened is None:
            raise EngineFailed("the engine closed its stream without a finish")
        return Ending(ENDINGS[self._shaper.happened], self.counts, self._shaper.matched)


def _thinking_tokens(piece: OutputChunk, parts: Sequence[Part], *, began_thinking: bool) -> int:
    """How many of a piece's tokens are reasoning: mostly all of them or none, else as many as of its characters."""
    if began_thinking:
        shown = sum(len(part.text) for part in parts if type(part) is Text)
        return piece.output - round(piece.output * min(shown / len(piece.text), 1)) if shown else piece.output
    thought = 0
    for part in parts:  # no generator: this runs for every token
        if type(part) is Thinking:
            thought += len(part.text)
    return round(piece.output * min(thought / len(piece.text), 1)) if thought else 0
