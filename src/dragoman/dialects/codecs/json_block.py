"""F1: calls as JSON objects between an opener and its closer: one, several, or an array of them.

While it is open whether an object is a call, its text is kept. The name decides: a declared tool's makes it a call, whose
arguments stream from then on as they are read; any other makes it text. Arguments that come before the name wait for it. Once a
call has begun it cannot be taken back, so what goes wrong later is dealt with in two ways:

- the closer comes while brackets are open, or a slip of `JsonValue`'s list is met: repaired, and the call is complete;
- anything else (garbage, an output that ends in the middle of a value): the JSON is closed so that the client can read it, and
  the call ends as *not complete*: nobody should run half a command. What follows is read as text.

A call that is cut by the limit keeps its arguments as they are, unclosed (STOP-3).
"""

import re
from functools import partial

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.json_call import CallObject
from dragoman.dialects.spec import Calls, JsonArguments, JsonKey
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text

_SPACE = re.compile(r"\s+")


class JsonBlock(CallReader):
    """One block of calls in JSON."""

    def __init__(self, opener: str, calls: Calls, carrier: JsonKey, codec: JsonArguments, context: Context) -> None:
        self._closes = calls.closes
        self._open_object = partial(CallObject, carrier, codec, context.repairs)
        self._tools = context.tools
        self._repairs = context.repairs
        self._object: CallObject | None = None
        self._is_call: bool | None = None  # the object being read, or else the last one; None: not known yet
        self._kept = [opener]  # text that is no call's, or may be no call's
        self._from = 0  # where such text begins in the text at hand

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """As `CallReader.read`."""
        self._from = pos
        while pos < len(text) and not self.done:
            before = pos, self._object
            pos = self._between(text, pos, out) if self._object is None else self._inside(self._object, text, pos, out)
            if (pos, self._object) == before:
                break
        if self._object is not None and self._is_call:
            self._flush(self._object, out)
        elif self._is_call is False:
            self._release(text, pos, out)
        elif not self.done:
            self._kept.append(text[self._from : pos])
        return pos

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """As `CallReader.finish`. A block that is cut before a name was read is dropped."""
        self.done = True
        if self._object is not None and self._is_call:
            complete = self._object.whole
            if not cut:
                self._object.close()
            self._end_call(self._object, out, complete=complete)
        elif self._is_call is None and cut:
            self._repairs.append("cut-call")
        elif not self._is_call:
            self._from = 0
            self._release(tail, len(tail), out)

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        """Read what stands before the first object, between two, or behind the last."""
        if space := _SPACE.match(text, pos):
            return space.end()
        if text[pos] == "{":
            if self._is_call is False:
                self._release(text, pos, out)
            self._object, self._is_call = self._open_object(), None
            return pos + 1
        if text[pos] == "[" or (self._is_call is not None and text[pos] in ",;]}"):
            return pos + 1
        end = pos + len(self._closer(text, pos))
        if end == pos and self._may_become_closer(text, pos):
            return pos
        self.done, self.refused = True, end == pos and not self._is_call
        if end == pos or not self._is_call:
            self._release(text, end, out)
        return end

    def _inside(self, call: CallObject, text: str, pos: int, out: list[Part]) -> int:
        """Read on in an object."""
        pos = call.read(text, pos)
        if self._is_call is None and call.name is not None:
            self._is_call = call.name in self._tools
            if self._is_call:
                self._kept.clear()
                out.append(CallStart(call.name))
        if self._is_call is False:
            call.arguments.clear()
        if call.done:
            self._leave(call, text, pos, out, complete=True)
        elif call.stuck and not self._may_become_closer(text, pos):
            closed = bool(self._closer(text, pos))
            complete = closed and call.clean
            if self._is_call:
                self._repairs.append("bracket" if complete else "broken-call")
            call.close()
            self._leave(call, text, pos, out, complete=complete)
            self.done = not closed
            self.refused = self.done and not self._is_call
        return pos

    def _leave(self, call: CallObject, text: str, pos: int, out: list[Part], *, complete: bool) -> None:
        self._object = None
        if self._is_call:
            self._end_call(call, out, complete=complete)
        else:
            self._is_call = False
            self._release(text, pos, out)
        self._from = pos

    def _end_call(self, call: CallObject, out: list[Part], *, complete: bool) -> None:
        self._flush(call, out)
        out.append(CallEnd(complete))

    def _flush(self, call: CallObject, out: list[Part]) -> None:
        if call.arguments:
            out.append(CallDelta("".join(call.arguments)))
            call.arguments.clear()

    def _release(self, text: str, end: int, out: list[Part]) -> None:
        """What was kept is text, and so is the text at hand up to `end`."""
        self._kept.append(text[self._from : end])
        self._from = end
        if released := "".join(self._kept):
            out.append(Text(released))
        self._kept.clear()

    def _closer(self, text: str, pos: int) -> str:
        return next((closer for closer in self._closes if text.startswith(closer, pos)), "")

    def _may_become_closer(self, text: str, pos: int) -> bool:
        rest = text[pos : pos + max(map(len, self._closes), default=0)]
        return any(len(rest) < len(closer) and closer.startswith(rest) for closer in self._closes)
