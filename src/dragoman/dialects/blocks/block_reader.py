"""The base of all readers of a block: text is kept while it is undecided whether it is a call.

A call drops the text that was kept before it; otherwise the kept text is passed on, so that no character is lost.
"""

from abc import abstractmethod

from dragoman.dialects.blocks.base import CallReader, Context
from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.spec import Calls
from dragoman.dialects.values.fit import Fit
from dragoman.json_schema.view import SchemaView
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text


class BlockReader(CallReader):
    """Keeps and releases text, begins and ends calls; `_step_on` of the subclass reads the markup."""

    def __init__(self, opener: str, calls: Calls, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._tools = context.tools
        self._repairs = context.repairs
        self._doubtful = calls.doubtful or not opener
        self._arguments: ArgumentReader | None = None  # of the call being read
        self._fit = Fit(SchemaView({}), [])  # fits their values to the tool's schema
        self._is_call: bool | None = None  # of the arguments being read, or of the last ones; None: not known yet
        self._kept = [opener]  # text that is not, or may not be, part of a call
        self._from = 0  # where such text begins in the current text

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read as `CallReader.read` describes."""
        self._from = pos
        while pos < len(text) and not self.done:
            end, moved = self._step_on(text, pos, out)
            if end == pos and not moved:
                break
            pos = end
        if self._arguments is not None and self._is_call:
            self._flush(self._arguments, out)
        elif self._is_call is False:
            self._release(text, pos, out)
        elif not self.done:
            self._kept.append(text[self._from : pos])
        return pos

    @abstractmethod
    def _step_on(self, text: str, pos: int, out: list[Part]) -> tuple[int, bool]:
        """Read one element at `pos`: its end, and whether to continue although nothing was consumed."""

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end. A block that is cut before its name is dropped, unless its opener is doubtful."""
        self._from = 0
        if self._arguments is not None and self._is_call:
            if cut:  # its arguments stay as they are (STOP-3)
                self._flush(self._arguments, out)
                out.append(CallEnd(self._arguments.whole))
            else:
                self._end_call(self._arguments, out, complete=self._arguments.may_end)
        elif self._is_call is None and cut and not self._doubtful:
            self._repairs.append("cut-call")
        elif self.done or not self._is_call:
            self._release(tail, len(tail), out)
        self.done = True

    def _begin_call(self, name: str, id_: str, out: list[Part]) -> None:
        """Begin a call of a declared tool: the kept text was markup."""
        self._is_call = True
        self._kept.clear()
        self._fit = Fit(self._context.view(name), self._repairs)
        out.append(CallStart(name, id_))

    def _end_call(self, arguments: ArgumentReader, out: list[Part], *, complete: bool) -> None:
        """End the call here, whether its arguments are complete or not."""
        self._flush(arguments, out)
        if not arguments.done:
            arguments.close()
        added = self._flush(arguments, out)
        out.append(CallEnd(complete, 0 if complete else added))

    def _leave(self, arguments: ArgumentReader, text: str, pos: int, out: list[Part], *, complete: bool) -> None:
        """Leave the arguments, which end at `pos`; if they are not those of a call, they are text."""
        self._arguments = None
        if self._is_call:
            self._end_call(arguments, out, complete=complete)
        else:
            self._is_call = False
            self._release(text, pos, out)
        self._from = pos

    def _flush(self, arguments: ArgumentReader, out: list[Part]) -> int:
        """Pass on the written text, as far as it is certain; returns its length."""
        written = self._fit.write("".join(arguments.out)) if arguments.out else ""
        arguments.out.clear()
        if written:
            out.append(CallDelta(written))
        return len(written)

    def _release(self, text: str, end: int, out: list[Part]) -> None:
        """Pass on the kept text and the current text up to `end` as text."""
        self._kept.append(text[self._from : end])
        self._from = end
        if released := "".join(self._kept):
            out.append(Text(released))
        self._kept.clear()
