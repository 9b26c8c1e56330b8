"""F1: calls as JSON objects between an opener and its closer: one, several, or an array of them.

The text of an object is kept while it is undecided whether the object is a call. The name decides: with the name of a declared
tool it is a call, whose arguments then stream as they are read; with any other name it is text. Arguments that come before the
name are kept until the name is read. If the opener is doubtful, the first of the arguments has to be there too. Once a call has
begun it cannot be taken back, so there are two ways to deal with a later error:

- the closer comes while brackets are open, or the error is in the list of `JsonValue`: it is repaired, and the call is
  complete;
- any other error (garbage, an output that ends in the middle of a value): the JSON is closed so that the client can read it,
  and
  the call ends as *not complete*, because half a command should not be run. The text after it is read as text.

A call that is cut by the limit keeps its arguments as they are, unclosed (STOP-3).
"""

from abc import abstractmethod
from collections.abc import Iterable

from dragoman.dialects.blocks.base import Context
from dragoman.dialects.blocks.block_reader import BlockReader
from dragoman.dialects.blocks.json_call import CallObject
from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.markdown import FENCE, JSON_FENCES
from dragoman.dialects.markers import SPACE
from dragoman.dialects.spec import Calls, JsonKey, KeyIsName
from dragoman.parts import Part


class JsonReader(BlockReader):
    """The base of readers of blocks with JSON objects; `_between` of the subclass finds where an object begins."""

    def __init__(self, opener: str, calls: Calls, context: Context) -> None:
        super().__init__(opener, calls, context)
        self._fenced = FENCE in opener  # a fence is open
        self._object_repairs: list[str] = []  # they count only if the object is a call

    def _step_on(self, text: str, pos: int, out: list[Part]) -> tuple[int, bool]:
        before = self._arguments
        end = self._between(text, pos, out) if before is None else self._inside(before, text, pos, out)
        return end, self._arguments is not before

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end as `BlockReader.finish` does; an empty list of calls is dropped."""
        if self._is_call is None and not cut and self._is_empty_list(tail):
            self.done = True
        else:
            super().finish(tail, out, cut=cut)

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        """Read the text before the first object, between two, or after the last."""
        if space := SPACE.match(text, pos):
            return space.end()
        if text[pos] == "]" or (self._is_call is not None and text[pos] == "}"):
            return self._pass_markup(pos, pos + 1)
        if self._may_become_closer(text, pos):
            return pos
        end = self._pass_fence(text, pos)
        return end if end > pos else self._leave_block(text, pos, out)

    @abstractmethod
    def _reader(self) -> ArgumentReader:
        """Return a reader of the object that begins here, with `_object_repairs`."""

    @abstractmethod
    def _decide(self, call: ArgumentReader, out: list[Part]) -> None:
        """Decide whether this object is a call, if that is known by now."""

    def _begin(self, text: str, pos: int, out: list[Part]) -> None:
        """Begin an object here."""
        if self._is_call is False:
            self._release(text, pos, out)
        self._object_repairs = []
        self._arguments, self._is_call = self._reader(), None

    def _pass_fence(self, text: str, pos: int) -> int:
        """The end of the fence that opens or closes here, or `pos` if there is none."""
        fence = next((fence for fence in self._fences() if text.startswith(fence, pos)), "")
        if fence:
            self._fenced = not self._fenced
        return self._pass_markup(pos, pos + len(fence))

    def _pass_markup(self, pos: int, end: int) -> int:
        """Drop a bracket or a fence after a call, whatever follows it."""
        if end > pos and self._is_call:
            self._kept.clear()
            self._from = end
        return end

    def _leave_block(self, text: str, pos: int, out: list[Part]) -> int:
        """End the block at its closer, or at text that cannot be part of it."""
        end = pos + len(self._closer(text, pos))
        if end == pos and self._may_become_closer(text, pos):
            return pos
        self.done, self.refused = True, end == pos and not self._is_call
        if self._is_call is None and end > pos and self._is_empty_list(text[self._from : pos]):
            return end
        if end == pos or not self._is_call:
            self._release(text, end, out)
        return end

    def _is_empty_list(self, text: str) -> bool:
        """Whether an empty list of calls is all that was read."""
        return not self._doubtful and "".join((*self._kept[1:], text)).split() in (["[]"], ["[", "]"])

    def _inside(self, call: ArgumentReader, text: str, pos: int, out: list[Part]) -> int:
        """Read more of an object."""
        pos = call.read(text, pos, final=False)
        if self._is_call is None:
            self._decide(call, out)
        if self._is_call is False:
            call.out.clear()
        if call.done:
            self._leave(call, text, pos, out, complete=True)
        elif call.stuck and not self._may_become_closer(text, pos):
            closed = bool(self._closer(text, pos))
            complete = closed and call.clean
            if self._is_call and not (complete and call.may_end):
                self._object_repairs.append("bracket" if complete else "broken-call")
            self._leave(call, text, pos, out, complete=complete)
            self.done = not closed and not (self._fenced and text.startswith(FENCE, pos))
            self.refused = self.done and not self._is_call
        return pos

    def _end_call(self, arguments: ArgumentReader, out: list[Part], *, complete: bool) -> None:
        self._repairs.extend(self._object_repairs)
        super()._end_call(arguments, out, complete=complete)

    def _closer(self, text: str, pos: int) -> str:
        return next((closer for closer in self._calls.closes if text.startswith(closer, pos)), "")

    def _may_become_closer(self, text: str, pos: int) -> bool:
        """Whether the text here could become a closer, or a fence, with more text after it."""
        markers = (*self._calls.closes, *self._fences())
        return _begins(text, pos, markers)

    def _fences(self) -> tuple[str, ...]:
        """The fences that may come here: a closing one, or an opening one before the first object."""
        if self._fenced:
            return (FENCE,)
        return JSON_FENCES if self._arguments is None and self._is_call is None else ()


class JsonBlock(JsonReader):
    """A block of calls that have their names in the JSON."""

    def __init__(self, opener: str, calls: Calls, carrier: JsonKey | KeyIsName, context: Context) -> None:
        super().__init__(opener, calls, context)
        self._carrier = carrier

    def _reader(self) -> CallObject:
        return CallObject(self._carrier, self._calls.json_codec, self._calls.ids, self._object_repairs, strict=self._doubtful)

    def _decide(self, call: ArgumentReader, out: list[Part]) -> None:
        assert isinstance(call, CallObject)
        if call.name is None:
            return
        if call.name not in self._tools:
            self._is_call = False
        elif call.begun or not self._doubtful:
            call.strict = False
            self._begin_call(call.name, call.id, out)

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        if text[pos].isspace():
            return super()._between(text, pos, out)
        if text[pos] == "{":
            self._begin(text, pos, out)
            return pos + 1
        if self._calls.opens and text.startswith(self._calls.opens, pos):
            return self._leave_block(text, pos, out)
        if _begins(text, pos, self._calls.opens):
            return pos
        if text[pos] == "[" or (self._is_call is not None and text[pos] in ",;"):
            return pos + 1
        return super()._between(text, pos, out)


def _begins(text: str, pos: int, markers: Iterable[str]) -> bool:
    """Whether the text ends inside one of these markers, which begins at `pos`."""
    return any(len(text) - pos < len(marker) and marker.startswith(text[pos:]) for marker in markers)
