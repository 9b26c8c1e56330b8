"""One turn: what the engine says, read by the dialect, shaped by the policies, told as parts.

The policies are small and each has one place: stop sequences act on visible text only (SEQ-4), reasoning is signed where it
ends and closed where its budget is spent (THK-2), each call gets an id of its own (TOOL-8), one call is enough where parallel
calls are off (TOOL-7), what was promised is checked, and the end is looked up in a table.

A turn is one job, or two: where reasoning is closed by force, the engine goes on from there in another, and has all of the
first one's prompt in its cache. A model that goes round in circles is stopped: in reasoning as if its budget were spent, in an
answer that was promised by the shortest way to its end, elsewhere where it stands.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from dragoman.conversation import Conversation, ThinkingDisplay, ThinkingPolicy, ToolChoice
from dragoman.conversation.signature import sign
from dragoman.dialects import Constrainer, call_opening
from dragoman.engines import Engine, Finish, FinishReason, Job, Piece
from dragoman.engines.closing import way_out
from dragoman.errors import EngineFailed
from dragoman.generation.endings import ENDINGS, Happening
from dragoman.generation.promises import Promises
from dragoman.generation.repetition import Repetition
from dragoman.generation.stops import StopScanner
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, Tally, Text, Thinking, ThinkingEnd
from dragoman.prompt import Prompt

_ENDLESS = 4000
"""Characters of one thing over and over after which a model will not stop by itself."""
_A_CIRCLE = 64
"""The same where an answer was promised and seven eighths of its room are gone; there, counting upwards is a circle too."""


class Turn:
    """One answer to one conversation. `run` may be called once; `tally` can be read at any time.

    `constrains`: the engine holds constraints. For one that does not, the opening of a forced call is written into the prompt.
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
    ) -> None:
        self._engine = engine
        self._adapter = adapter
        self._constrainer = constrainer
        self._constrains = constrains
        self._conversation = conversation
        self._prompt = prompt
        self._limit = min(conversation.max_tokens, prompt.room)
        self._parser = constrainer.dialect.parser(
            conversation.schemas,
            thinking_open=prompt.thinking_open,
            calls_allowed=conversation.tool_policy.choice is not ToolChoice.NONE,
        )
        self._stops = StopScanner(conversation.stop_sequences)
        self._show_thinking = conversation.thinking.display is not ThinkingDisplay.OMITTED
        self._blank: str | None = ""  # blank text at the beginning of a block; None once the block has a word
        self._thought: list[str] = []
        self._happened: Happening | None = None
        self._matched: str | None = None
        self._calls = 0
        self.broke_call = False
        """Was a call cut, by the limit or by the model itself? Its block stands, and nobody should run it."""
        self._promises = Promises(conversation)
        self._budget = conversation.thinking.budget
        self._held = conversation.output is not None or conversation.tool_policy.forced
        self._repetition = Repetition()
        self._astray = False
        self._mended: list[str] = []
        self._written: list[str] = []  # what the model wrote in this job
        self._cached: int | None = None
        self._output = 0
        self._thinking_tokens = 0

    @property
    def tally(self) -> Tally:
        """The counts as they are now."""
        return Tally(len(self._prompt.tokens), self._cached or 0, self._output, self._thinking_tokens)

    @property
    def calls(self) -> int:
        """Whole calls so far."""
        return self._calls

    @property
    def repairs(self) -> list[str]:
        """Names of the repairs that the output needed."""
        return [*self._parser.repairs, *self._mended]

    @property
    def broken_promises(self) -> list[str]:
        """What the answer should have been, and is not."""
        return self._promises.broken

    async def run(self) -> AsyncGenerator[Part, None]:
        """The parts, an `Ending` last. Raises what the engine raises; closing the iterator stops the engine."""
        behind = self._lead()
        for part in self._police(self._parser.feed(behind)) if behind else ():
            yield part
        job: Job | None = await self._job(behind, self._conversation, thinking_open=self._prompt.thinking_open)
        while job is not None:
            self._written.clear()
            async with aclosing(self._engine.generate(job)) as pieces:
                async for piece in pieces:
                    for part in self._read(piece):
                        yield part
                    if self._happened is not None or self._astray:
                        break
            if self._happened is not None or not self._astray:
                break
            if self._parser.thinking:
                closer = self._constrainer.dialect.close_thinking
                for part in self._police(self._parser.feed(closer)):
                    yield part
                behind = "".join([behind, *self._written, closer])
                job = await self._after_thinking(behind)
            else:
                for part in self._led_out(await self._way_out(job)):
                    yield part
                break
        yield self._ending()

    def _lead(self) -> str:
        """What is written for the model, where the engine cannot make it write that."""
        policy = self._conversation.tool_policy
        if self._constrains or not policy.forced:
            return ""
        tools = [tool for tool in self._conversation.callable if policy.name in (None, tool.name)]
        closer = self._constrainer.dialect.close_thinking if self._prompt.thinking_open else ""
        return closer + call_opening(self._constrainer.dialect, tools)

    async def _job(self, written: str, conversation: Conversation, *, thinking_open: bool) -> Job:
        """Go on behind `written`."""
        tokens = self._prompt.tokens
        limit = self._limit - self._output
        if written:
            tokens = [*tokens, *await self._engine.tokenize(written)]
            limit = min(limit, self._prompt.room - (len(tokens) - len(self._prompt.tokens)))
        constraint = self._constrainer.constraint(conversation, thinking_open=thinking_open) if self._constrains else None
        return Job(tokens, limit, conversation.sampling, constraint, self._adapter)

    async def _after_thinking(self, written: str) -> Job | None:
        """The job that goes on behind the reasoning that was closed; None where there is no room for it."""
        self._mended.append("reasoning closed")
        self._budget = None
        self._repetition = Repetition()
        self._astray = False
        job = await self._job(written, replace(self._conversation, thinking=ThinkingPolicy()), thinking_open=False)
        if job.limit < 1:
            self._happened = self._exhausted()
            return None
        return job

    def _goes_astray(self) -> bool:
        """Is the budget for reasoning spent, and the model still at it? Or does it go round in circles?"""
        if self._budget is not None and self._thinking_tokens >= self._budget and self._parser.thinking:
            return True
        if self._held and 8 * self._output >= 7 * self._limit:
            return self._repetition.counted >= _A_CIRCLE
        return self._repetition.stretch >= _ENDLESS

    async def _way_out(self, job: Job) -> str | None:
        """How an answer that was promised could end, from where the model stands."""
        if not self._held or job.constraint is None:
            return None
        return await asyncio.to_thread(way_out, job.constraint, "".join(self._written))

    def _led_out(self, way: str | None) -> Iterator[Part]:
        """The model is stopped: behind the way out if there is one, else where it stands."""
        self._mended.append("repetition stopped")
        if way is not None:
            yield from self._police(self._parser.feed(way))
        yield from self._police(self._parser.finish(cut=way is None))
        yield from self._flush()
        if self._happened is None:
            self._happened = Happening.REPETITION if way is None and not self.broke_call else self._done()

    def _read(self, piece: Piece) -> Iterator[Part]:
        if piece.prefill is not None:
            self._cached = piece.prefill.cached if self._cached is None else self._cached
            yield Prefill(piece.prefill.total, piece.prefill.cached or 0, piece.prefill.done)
        self._output += piece.output
        self._written.append(piece.text)
        began_thinking = self._parser.thinking
        parts = self._parser.feed(piece.text) if piece.text else []
        self._thinking_tokens += _thinking_tokens(piece, parts, began_thinking=began_thinking)
        yield from self._police(parts)
        if self._repetition.feed(piece.text) or self._held or self._budget is not None:
            self._astray = self._goes_astray()
        if piece.finish is not None:
            self._cached = piece.finish.cached if self._cached is None else self._cached
        if piece.finish is not None and self._happened is None:
            yield from self._finish(piece.finish)

    def _finish(self, finish: Finish) -> Iterator[Part]:
        """The engine stopped by itself. Text that was held back turns out to be text, or still completes a stop sequence."""
        cut = finish.reason is FinishReason.LENGTH
        yield from self._police(self._parser.finish(cut=cut))
        if self._happened is not None:
            return
        yield from self._flush()
        if cut:
            self._happened = self._exhausted()
        else:
            self._happened = self._done()
            self._promises.settle()

    def _exhausted(self) -> Happening:
        """Which of the limits it was."""
        return Happening.WINDOW_FULL if self._limit < self._conversation.max_tokens else Happening.OUTPUT_LIMIT

    def _done(self) -> Happening:
        """How a turn ended that the model ended by itself."""
        if self.broke_call:
            return Happening.CALL_BROKEN
        return Happening.MODEL_CALLED if self._calls else Happening.MODEL_DONE

    def _police(self, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            if self._promises.any:
                self._promises.note(part)
            match part:
                case Text(text):
                    yield from self._visible(text)
                case CallDelta():
                    yield part
                case Thinking(text):
                    yield from self._flush()
                    self._thought.append(text)
                    if self._show_thinking:
                        yield part
                case ThinkingEnd():
                    yield from self._signed()
                case CallStart(name, wire):
                    yield from self._flush()
                    yield CallStart(name, _call_id(wire))
                case CallEnd(complete):
                    yield part
                    self._calls += complete
                    self.broke_call = self.broke_call or not complete
                    if complete and not self._conversation.tool_policy.parallel:
                        self._happened = Happening.MODEL_CALLED
                case _:
                    raise TypeError(f"a parser does not make {type(part).__name__}")
            if self._happened is not None:
                return

    def _visible(self, text: str) -> Sequence[Part]:
        visible, matched = self._stops.feed(text)
        if matched is not None:
            self._happened, self._matched = Happening.STOP_SEQUENCE, matched
        return self._shown(visible)

    def _shown(self, text: str) -> Sequence[Part]:
        """Text, once there is a word in it: the API takes no blank block back (REQ-8), so none is made (RES-4)."""
        if self._blank is not None:
            text = self._blank + text
            self._blank = None if text.strip() else text
        return (Text(text),) if text and self._blank is None else ()

    def _flush(self) -> Iterator[Part]:
        """What was held back is text after all; and the block is over, so a blank one never was."""
        yield from self._shown(self._stops.flush())
        self._blank = ""

    def _signed(self) -> Iterator[Part]:
        """Close the reasoning. A span without a word in it is no block."""
        thought = "".join(self._thought)
        self._thought.clear()
        if thought:
            yield ThinkingEnd(sign(thought, shown=self._show_thinking))

    def _ending(self) -> Ending:
        if self._happened is None:
            raise EngineFailed("the engine closed its stream without a finish")
        return Ending(ENDINGS[self._happened], self.tally, self._matched)


def _call_id(wire: str) -> str:
    """An id of our own, unique (TOOL-8), which ends with the one that the model wrote, so that it can be written back."""
    return f"toolu_{secrets.token_hex(12)}{wire if wire.isascii() and wire.isalnum() else ''}"


def _thinking_tokens(piece: Piece, parts: Sequence[Part], *, began_thinking: bool) -> int:
    """How many of a piece's tokens are reasoning: mostly all of them or none, else as many as of its characters."""
    if began_thinking:
        shown = sum(len(part.text) for part in parts if type(part) is Text)
        return piece.output - round(piece.output * min(shown / len(piece.text), 1)) if shown else piece.output
    thought = 0
    for part in parts:  # no generator: this runs for every token
        if type(part) is Thinking:
            thought += len(part.text)
    return round(piece.output * min(thought / len(piece.text), 1)) if thought else 0
