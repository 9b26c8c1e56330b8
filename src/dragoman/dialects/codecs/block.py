"""What all readers of a block have in common: while it is open whether a call stands here, the text is kept.

A call drops what was kept before it; anything else gives it back as text, so that no character is lost.
"""

from abc import abstractmethod
from typing import Protocol

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.fit import Fit
from dragoman.dialects.spec import Calls
from dragoman.json_schema.view import SchemaView
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text


class Arguments(Protocol):
    """What writes the arguments of the call being read; the owner empties `out`."""

    out: list[str]
    done: bool

    def close(self) -> None:
        """End them here, so that what was written is valid JSON."""


class BlockReader(CallReader):
    """Keeps and releases the text, begins and ends the calls; what stands where is for the subclass to say, in `_step_on`."""

    def __init__(self, opener: str, calls: Calls, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._tools = context.tools
        self._repairs = context.repairs
        self._doubtful = calls.doubtful or not opener
        self._arguments: Arguments | None = None  # of the call being read
        self._fit = Fit(SchemaView({}), [])  # of their values to the tool's schema
        self._is_call: bool | None = None  # what is being read, or else what was read last; None: not known yet
        self._kept = [opener]  # text that is no call's, or may be no call's
        self._from = 0  # where such text begins in the text at hand

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """As `CallReader.read`."""
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
        """Read one thing at `pos`: its end, and whether there is more to do although nothing was consumed."""

    def _begin_call(self, name: str, id_: str, out: list[Part]) -> None:
        """A declared tool is called: all that was kept was markup."""
        self._is_call = True
        self._kept.clear()
        self._fit = Fit(self._context.view(name), self._repairs)
        out.append(CallStart(name, id_))

    def _end_call(self, arguments: Arguments, out: list[Part], *, complete: bool) -> None:
        """The arguments end here, whether they are whole or not."""
        self._flush(arguments, out)
        if not arguments.done:
            arguments.close()
        added = self._flush(arguments, out)
        out.append(CallEnd(complete, 0 if complete else added))
        self._arguments = None

    def _cut_call(self, arguments: Arguments, out: list[Part], *, complete: bool) -> None:
        """The limit has cut the call: its arguments stay as they are (STOP-3)."""
        self._flush(arguments, out)
        out.append(CallEnd(complete))
        self._arguments = None

    def _flush(self, arguments: Arguments, out: list[Part]) -> int:
        """Pass on what has been written, as far as it is certain; returns its length."""
        written = self._fit.write("".join(arguments.out)) if arguments.out else ""
        arguments.out.clear()
        if written:
            out.append(CallDelta(written))
        return len(written)

    def _release(self, text: str, end: int, out: list[Part]) -> None:
        """What was kept is text, and so is the text at hand up to `end`."""
        self._kept.append(text[self._from : end])
        self._from = end
        if released := "".join(self._kept):
            out.append(Text(released))
        self._kept.clear()
