"""The reader of F2: arguments between tags, one pair of tags for each, with the values unescaped.

Because nothing is escaped in a value, its closer ends it only if it is *confirmed* by what follows: the next parameter, the end
of the call, or the end of the output. So a file that contains the closer is read whole. Models forget closers: a value also
ends where the call or the block does, again if that is confirmed, and where a parameter begins that the tool declares and the
call has not given yet.

A file may quote whole calls. From the beginning of a block inside a value to the end of that block, the value is ended only by
the sequence of closers, from its own to the block's, with nothing after them.
"""

import re
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.codecs.codec import ArgumentReader, CallTags
from dragoman.dialects.codecs.tagged.notation import TagNotation
from dragoman.dialects.markers import MAX_GAP, SPACE, Markers, skip_gap
from dragoman.dialects.marks import MARK
from dragoman.dialects.tag_reader import TagReader, attribute_in, name_in
from dragoman.dialects.values.json_text import escape
from dragoman.dialects.values.json_value import JsonValue
from dragoman.dialects.values.typed import TypedValue
from dragoman.json_schema.view import ANY, STRING, SchemaView

_LOST_KEY = re.compile(rf"[^<\n{MARK}]{{1,64}}")
_MAX_CLOSERS = 4


class _Next(Enum):
    """The element that comes next."""

    PARAMETER = auto()
    OBJECT = auto()
    KEY = auto()
    VALUE_TAG = auto()
    VALUE_START = auto()
    VALUE = auto()
    END = auto()


class _Markers:
    """The compiled tags of a notation and of the calls around it."""

    def __init__(self, notation: TagNotation, tags: CallTags) -> None:
        self.opens = frozenset(_spellings(notation.open))
        closers = frozenset(filter(None, (tags.call_close, *tags.closes)))
        next_calls = frozenset(filter(None, (*tags.opens, tags.call_open, *tags.skips)))
        self.own_closers = (notation.close, notation.end) if notation.value_open else (notation.close,)
        self.tokens = Markers([*self.opens, *closers, *next_calls, *self.own_closers])
        self.key = TagReader(notation.end, (notation.value_open, notation.close), quoted=bool(notation.attribute))
        self.pair = Markers([notation.value_open, *self.own_closers] if notation.value_open else [])
        opening, closing = notation.quotes
        self.quote = Markers(filter(None, [opening]))
        own = ("", "\n") if notation.newline else ("",)
        self.ends = {newline + notation.close: notation.close for newline in own}
        self.ends |= {tag: tag for tag in self.own_closers[1:]}
        self.ends |= {newline + tag: tag for tag in (notation.open, *closers) for newline in ("", "\n")}
        self.block = tags.open if tags.call_open not in ("", tags.open) else ""
        if self.block:
            self.ends[self.block] = self.block
        quoted_ends = Markers([closing + notation.close, closing + "\n" + notation.close])
        self.value = {False: Markers(self.ends), True: quoted_ends}
        self.confirmations = dict.fromkeys(self.own_closers, Markers([*self.opens, *closers, *next_calls]))
        for closer in closers:
            self.confirmations[closer] = Markers([*(closers - {closer}), *next_calls])


class TaggedReader(ArgumentReader):
    """Reads the arguments of one call."""

    def __init__(self, notation: TagNotation, tags: CallTags, view: SchemaView, repairs: list[str]) -> None:
        super().__init__()
        self._notation, self._tags = notation, tags
        self._markers = _markers(notation, tags)
        self._view = view
        self._declared = frozenset(view.keys)
        self._repairs = repairs
        self._given: set[str] = set()
        self._key_pair = ""  # the last key with its tags, if a pair of tags holds it
        self._leaf = TypedValue(STRING, repairs)
        self._object = JsonValue(repairs)
        self._in_quotes = False
        self._quoted = 0  # number of quoted blocks of calls that are open in the value
        self._next = _Next.PARAMETER

    @property
    def clean(self) -> bool:
        """Whether no value is open."""
        return self._next is _Next.PARAMETER or (self._next is _Next.OBJECT and self._object.clean)

    @property
    def may_end(self) -> bool:
        """Whether no parameter is open."""
        return self._next is _Next.PARAMETER

    def close(self) -> None:
        """End the arguments, and an open value, here."""
        if self._next in (_Next.VALUE_TAG, _Next.VALUE_START, _Next.VALUE):
            self.out.append(self._leaf.close())
        if self._next is _Next.OBJECT:
            self._object.close()
            self.out += self._object.out
        elif not self._object.done:
            self.out.append("}" if self._given else "{}")
        self._next = _Next.END
        self.done = True

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes."""
        self.stuck = False
        while pos < len(text) and not self.done and not self.stuck:
            before = pos, self._next
            match self._next:
                case _Next.PARAMETER:
                    pos = self._parameter(text, pos, final=final)
                case _Next.OBJECT:
                    pos = self._whole_object(text, pos)
                case _Next.KEY:
                    pos = self._key(text, pos)
                case _Next.VALUE_TAG:
                    pos = self._value_tag(text, pos, final=final)
                case _Next.VALUE_START:
                    pos = self._value_start(text, pos, final=final)
                case _:
                    pos = self._value(text, pos, final=final)
            if (pos, self._next) == before:
                break
        return pos

    def _parameter(self, text: str, pos: int, *, final: bool) -> int:
        if space := SPACE.match(text, pos):
            return space.end()
        if text[pos] == "{" and not self._given:
            self._next = _Next.OBJECT
            return pos
        found = self._markers.tokens.match(text, pos, final=final)
        if found is not None and not found.marker:
            return pos
        marker = found.marker if found else ""
        if marker and marker in self._markers.opens and not self._object.done:
            self._next = _Next.KEY
        elif marker and marker == self._tags.call_close:
            self.close()
        elif not marker or marker not in self._markers.own_closers:
            is_key = self._is_key(text, pos, final=final)
            self._next = _Next.KEY if is_key else self._next
            self.stuck = is_key is False
            return pos
        return pos + len(marker)

    def _whole_object(self, text: str, pos: int) -> int:
        """Read all arguments as one JSON object, without tags."""
        pos = self._object.read(text, pos)
        self.out += self._object.out
        self._object.out.clear()
        self.stuck = self._object.stuck
        if self._object.done:
            self._next = _Next.PARAMETER
        return pos

    def _key(self, text: str, pos: int) -> int:
        header = self._markers.key.read(text, pos)
        if header is None:
            self.stuck = TagReader.too_long(text, pos)
            return pos
        inside, end = header
        while self._notation.value_open and inside.startswith(self._notation.open):  # a repeated opener
            inside = inside.removeprefix(self._notation.open)
        key = name_in(inside, self._notation.attribute) or self._only_missing()
        if not key and key not in self._declared:
            self.stuck = True
            return pos
        self.out.append(f'{", " if self._given else "{"}"{escape(key)}": ')
        self._given.add(key)
        self._key_pair = f"{self._notation.open}{inside}{self._notation.end}"
        self._leaf = TypedValue(self._kinds(inside, key), self._repairs)
        self._next = _Next.VALUE_TAG if self._notation.value_open else _Next.VALUE_START
        return end

    def _only_missing(self) -> str:
        """The name of a parameter without one, if a single required, or declared, parameter is not given yet."""
        for names in (self._view.required, self._declared):
            if len(missing := names - self._given) == 1:
                self._repairs.append("missing-name")
                return next(iter(missing))
        return ""

    def _kinds(self, header: str, key: str) -> frozenset[str]:
        """The types of a value, from its tag or else from the schema."""
        type_ = attribute_in(header, self._notation.type_attribute) if self._notation.type_attribute else None
        if type_ in ("true", "false"):  # string="true"
            return STRING if type_ == "true" else ANY
        return frozenset({type_}) if type_ in ANY else self._view.member(key).plain_kinds

    def _value_tag(self, text: str, pos: int, *, final: bool) -> int:
        """Read the second tag, before the value, as in GLM: models forget it, repeat it, or write it after a wrong closer."""
        start = skip_gap(text, pos)
        found = self._markers.pair.match(text, start, final=final)
        if (found is not None and not found.marker) or (start == len(text) and not final):
            return pos
        end = start + len(found.marker) if found else start
        if found is not None and found.marker == self._notation.end:
            return end
        repeated = _end_of_next(self._key_pair, text, start, final=final)  # a repeated key
        if repeated is None or repeated > 0:
            return pos if repeated is None else repeated
        if found is not None and found.marker == self._notation.close:
            after = _end_of_next(self._notation.value_open, text, end, final=final)
            if after is None:
                return pos
            end = after if after > 0 else start
        self._next = _Next.VALUE_START
        return end

    def _value_start(self, text: str, pos: int, *, final: bool) -> int:
        self._in_quotes = False
        if self._notation.value_open:
            doubled = self._markers.pair.match(text, pos, final=final)
            if doubled is not None and not doubled.marker:
                return pos
            if doubled is not None and doubled.marker == self._notation.value_open:
                return pos + len(doubled.marker)
        if self._notation.quotes[0]:
            found = self._markers.quote.match(text, pos, final=final)
            if found is not None and not found.marker:
                return pos
            self._in_quotes = found is not None
        self._next = _Next.VALUE
        if self._in_quotes:
            return pos + len(self._notation.quotes[0])
        return pos + 1 if self._notation.newline and text[pos] == "\n" else pos

    def _value(self, text: str, pos: int, *, final: bool) -> int:
        found = self._markers.value[self._in_quotes].find(text, pos, final=final)
        if found is None or found.start > pos:
            end = len(text) if found is None else found.start
            self.out.append(self._leaf.write(text[pos:end]))
            return end
        if not found.marker:
            return pos
        tag = self._notation.close if self._in_quotes else self._markers.ends[found.marker]
        end = pos + len(found.marker)
        ends = self._ends_value(found.marker, tag, text, end, final=final)
        if ends is None and not final:
            return pos
        if not ends:
            self.out.append(self._leaf.write(text[pos]))
            return pos + 1
        self.out.append(self._leaf.end())
        self._next = _Next.PARAMETER
        if tag == self._notation.close:
            return end
        self._repairs.append("missing-closer")
        return end - len(tag)

    def _ends_value(self, marker: str, tag: str, text: str, end: int, *, final: bool) -> bool | None:
        """Whether the value ends here; None if more text is needed to decide."""
        if tag == self._markers.block:
            after = _end_of_next(self._tags.call_open, text, end, final=final)
            self._quoted += after is not None and after > 0
            return None if after is None else False
        if not self._quoted:
            return (
                self._opens_parameter(text, end)
                if tag == self._notation.open
                else self._is_confirmed(tag, text, end, final=final)
            )
        self._quoted -= marker in self._tags.closes
        return tag == self._notation.close and self._ends_all(text, end, final=final)

    def _ends_all(self, text: str, end: int, *, final: bool) -> bool | None:
        """Whether the call, its block and the output end here; None if more text is needed to decide."""
        for tag in (self._tags.call_close, self._tags.close):
            after = _end_of_next(tag, text, end, final=final)
            if after is None or after < 0:
                return None if after is None else False
            end = after
        is_end = skip_gap(text, end) == len(text)
        return is_end if final or not is_end else None

    def _is_confirmed(self, tag: str, text: str, end: int, *, final: bool) -> bool | None:
        """Whether the text after this tag may follow it; None if more text is needed to decide."""
        for _ in range(_MAX_CLOSERS):  # repeated closers are one
            start = skip_gap(text, end)
            if start == len(text):
                return None if start - end < MAX_GAP and not final else final
            found = self._markers.confirmations[tag].match(text, start, final=final)
            if found is not None:
                return True if found.marker else None
            after = [_end_of_next(closer, text, start, final=final) for closer in self._markers.own_closers]
            if None in after:
                return None
            if tag not in self._markers.own_closers or max(filter(None, after)) < 0:
                return tag in self._markers.own_closers and self._is_key(text, start, final=final)
            end = max(filter(None, after))
        return False

    def _is_key(self, text: str, pos: int, *, final: bool) -> bool | None:
        """Whether a key without its opener is here: declared by the tool, not given yet, with its closer.

        None if more text is needed to decide.
        """
        if not self._notation.value_open:
            return False
        found = _LOST_KEY.match(text, pos)
        end = found.end() if found else pos
        key = text[pos:end].strip()
        is_growing = end == len(text) and not final
        missing = self._declared - self._given
        if key not in missing:
            return None if is_growing and any(name.startswith(key) for name in missing) else False
        rest = text[end : end + len(self._notation.end)]
        if rest == self._notation.end:
            return True
        return None if self._notation.end.startswith(rest) and end + len(rest) == len(text) and not final else False

    def _opens_parameter(self, text: str, pos: int) -> bool | None:
        """Whether this is the tag of a declared parameter that was not given yet; None if more text is needed to decide."""
        missing = self._declared - self._given
        if not missing:
            return False
        header = self._markers.key.read(text, pos)
        if header is None:
            return False if TagReader.too_long(text, pos) else None
        inside, end = header
        if name_in(inside, self._notation.attribute) not in missing:
            return False
        if not self._notation.newline:
            return True
        return None if end == len(text) else text[end] == "\n"


def _end_of_next(tag: str, text: str, pos: int, *, final: bool) -> int | None:
    """The end of this tag if it follows at `pos`, perhaps after space; -1 if it does not; None if that is undecided."""
    start = skip_gap(text, pos)
    rest = text[start : start + len(tag)]
    if rest == tag:
        return start + len(tag)
    is_begun = tag.startswith(rest) and start + len(rest) == len(text) and start - pos < MAX_GAP
    return None if is_begun and not final else -1


@lru_cache
def _markers(notation: TagNotation, tags: CallTags) -> _Markers:
    return _Markers(notation, tags)


def _spellings(opener: str) -> set[str]:
    """The spellings of a tag's opener: the right one, and those of models that omit or change a character."""
    whole = {opener}
    if opener[-1] in "= ":
        whole |= {opener[:-1] + "=", opener[:-1] + " "}
    return whole | {spelling[1:] for spelling in whole}
