"""The base of all readers of a block: text is kept while it is undecided whether it is a call.

A call drops the text that was kept before it; otherwise the kept text is passed on, so that no character is lost.
"""

from abc import abstractmethod
from typing import Protocol

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.fit import Fit
from dragoman.dialects.spec import Calls
from dragoman.json_schema.view import SchemaView
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text


class Arguments(Protocol):
    """The reader of the current call's arguments, which writes JSON to `out`; the owner empties that."""

    out: list[str]
    done: bool

    def close(self) -> None:
        """End the arguments here, so that the written text is valid JSON."""


class BlockReader(CallReader):
    """Keeps and releases text, begins and ends calls; `_step_on` of the subclass reads the markup."""

    def __init__(self, opener: str, calls: Calls, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._tools = context.tools
        self._repairs = context.repairs
        self._doubtful = calls.doubtful or not opener
        self._arguments: Arguments | None = None  # of the call being read
        self._fit = Fit(SchemaView({}), [])  # fits their values to the tool's schema
        self._is_call: bool | None = None  # of the object being read, or of the last one; None: not known yet
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

    def _begin_call(self, name: str, id_: str, out: list[Part]) -> None:
        """Begin a call of a declared tool: the kept text was markup."""
        self._is_call = True
        self._kept.clear()
        self._fit = Fit(self._context.view(name), self._repairs)
        out.append(CallStart(name, id_))

    def _end_call(self, arguments: Arguments, out: list[Part], *, complete: bool) -> None:
        """End the call here, whether its arguments are complete or not."""
        self._flush(arguments, out)
        if not arguments.done:
            arguments.close()
        added = self._flush(arguments, out)
        out.append(CallEnd(complete, 0 if complete else added))
        self._arguments = None

    def _cut_call(self, arguments: Arguments, out: list[Part], *, complete: bool) -> None:
        """End a call that a limit has cut: its arguments stay as they are (STOP-3)."""
        self._flush(arguments, out)
        out.append(CallEnd(complete))
        self._arguments = None

    def _flush(self, arguments: Arguments, out: list[Part]) -> int:
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
