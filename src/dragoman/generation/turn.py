"""One turn: what the engine says, read by the dialect, shaped by the policies, told as parts.

The policies are small and each has one place: stop sequences act on visible text only (SEQ-4), reasoning is signed where it
ends, each call gets an id of its own (TOOL-8), one call is enough where parallel calls are off (TOOL-7), and the end is
looked up in a table.
"""

import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing

from dragoman.conversation import Conversation, ThinkingDisplay, ToolChoice
from dragoman.conversation.signature import sign
from dragoman.dialects import Dialect
from dragoman.engines import Engine, Finish, FinishReason, Job, Piece
from dragoman.errors import EngineFailed
from dragoman.generation.endings import ENDINGS, Happening
from dragoman.generation.stops import StopScanner
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, Tally, Text, Thinking, ThinkingEnd
from dragoman.prompt import Prompt


class Turn:
    """One answer to one conversation. `run` may be called once; `tally` can be read at any time."""

    def __init__(self, engine: Engine, dialect: Dialect, conversation: Conversation, prompt: Prompt) -> None:
        self._engine = engine
        self._conversation = conversation
        self._prompt = prompt
        self._limit = min(conversation.max_tokens, prompt.room)
        self._parser = dialect.parser(
            {tool.name: tool.schema for tool in conversation.tools},
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
        self._cached = 0
        self._output = 0
        self._thinking_tokens = 0

    @property
    def tally(self) -> Tally:
        """The counts as they are now."""
        return Tally(len(self._prompt.tokens), self._cached, self._output, self._thinking_tokens)

    @property
    def repairs(self) -> list[str]:
        """Names of the repairs that reading the output needed."""
        return self._parser.repairs

    async def run(self) -> AsyncGenerator[Part, None]:
        """The parts, an `Ending` last. Raises what the engine raises; closing the iterator stops the engine."""
        job = Job(self._prompt.tokens, self._limit, self._conversation.sampling)
        async with aclosing(self._engine.generate(job)) as pieces:
            async for piece in pieces:
                for part in self._read(piece):
                    yield part
                if self._happened is not None:
                    break
        yield self._ending()

    def _read(self, piece: Piece) -> Iterator[Part]:
        if piece.prefill is not None:
            self._cached = piece.prefill.cached
            yield Prefill(piece.prefill.total, piece.prefill.cached, piece.prefill.done)
        self._output += piece.output
        began_thinking = self._parser.thinking
        parts = self._parser.feed(piece.text) if piece.text else []
        self._thinking_tokens += _thinking_tokens(piece, parts, began_thinking=began_thinking)
        yield from self._police(parts)
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
            full = self._limit < self._conversation.max_tokens
            self._happened = Happening.WINDOW_FULL if full else Happening.OUTPUT_LIMIT
        else:
            self._happened = self._done()

    def _done(self) -> Happening:
        """How a turn ended that the model ended by itself."""
        if self.broke_call:
            return Happening.CALL_BROKEN
        return Happening.MODEL_CALLED if self._calls else Happening.MODEL_DONE

    def _police(self, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
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

    def _visible(self, text: str) -> Iterator[Part]:
        visible, matched = self._stops.feed(text)
        yield from self._shown(visible)
        if matched is not None:
            self._happened, self._matched = Happening.STOP_SEQUENCE, matched

    def _shown(self, text: str) -> Iterator[Part]:
        """Text, once there is a word in it: the API takes no blank block back (REQ-8), so none is made (RES-4)."""
        if self._blank is not None:
            text = self._blank + text
            self._blank = None if text.strip() else text
        if text and self._blank is None:
            yield Text(text)

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
    thought = sum(len(part.text) for part in parts if type(part) is Thinking)
    return round(piece.output * min(thought / len(piece.text), 1)) if thought else 0
