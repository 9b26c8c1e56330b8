"""F2: arguments between tags, one pair of them for each, and the values as they are.

Nothing is escaped in a value, so that its closer ends it only with an *edge* behind: the next parameter, the end of the call,
the end of the output. A file that contains the closer survives. Models forget closers, so a value also ends where the call or
the block does, again with an edge, and where a parameter begins that the tool declares and the call has not given yet.

A file may quote whole calls. From where a block begins inside a value to where that block ends, nothing ends the value but
closers, from its own to the block's, with nothing behind them.
"""

import re
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.codecs.arguments import ArgumentReader
from dragoman.dialects.codecs.json_value import JsonValue
from dragoman.dialects.codecs.tags import Header, attribute_in, name_in
from dragoman.dialects.codecs.typed import Leaf, escape
from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Calls, NameTag, TaggedArguments
from dragoman.json_schema.view import ANY, STRING, SchemaView

MAX_GAP = 256
"""No more space than this is looked past to see what follows a closer."""

_SPACE = re.compile(r"\s+")
_GAP = re.compile(rf"\s{{0,{MAX_GAP}}}")
_LOST_KEY = re.compile(r"[^<\n]{1,64}")
_MOST_CLOSERS = 4
_CDATA, _CDATA_END = "<![CDATA[", "]]>"


class _At(Enum):
    """What comes next."""

    PARAMETER = auto()
    OBJECT = auto()
    KEY = auto()
    VALUE_TAG = auto()
    VALUE_START = auto()
    VALUE = auto()
    END = auto()


class Tags:
    """The tags of a way of writing, compiled."""

    __slots__ = ("block", "cdata", "edges", "ends", "key", "opens", "own_closers", "pair", "tokens", "value")

    def __init__(self, calls: Calls, carrier: NameTag, codec: TaggedArguments) -> None:
        self.opens = frozenset(_spellings(codec.open))
        closers = frozenset(filter(None, (carrier.close, *calls.closes)))
        next_calls = frozenset(filter(None, (*calls.opens, carrier.open, *carrier.skips)))
        self.own_closers = (codec.close, codec.end) if codec.value_open else (codec.close,)
        self.tokens = Markers([*self.opens, *closers, *next_calls, *self.own_closers])
        self.key = Header(codec.end, (codec.value_open, codec.close), quoted=bool(codec.attribute))
        self.pair = Markers([codec.value_open, *self.own_closers] if codec.value_open else [])
        self.cdata = Markers([_CDATA])
        own = ("", "\n") if codec.newline else ("",)
        self.ends = {newline + codec.close: codec.close for newline in own}
        self.ends |= {tag: tag for tag in self.own_closers[1:]}
        self.ends |= {newline + tag: tag for tag in (codec.open, *closers) for newline in ("", "\n")}
        self.block = calls.open if carrier.open not in ("", calls.open) else ""
        if self.block:
            self.ends[self.block] = self.block
        self.value = {False: Markers(self.ends), True: Markers([_CDATA_END + codec.close, _CDATA_END + "\n" + codec.close])}
        self.edges = dict.fromkeys(self.own_closers, Markers([*self.opens, *closers, *next_calls]))
        for closer in closers:
            self.edges[closer] = Markers([*(closers - {closer}), *next_calls])


class Parameters(ArgumentReader):
    """The arguments of one call."""

    def __init__(self, calls: Calls, carrier: NameTag, codec: TaggedArguments, view: SchemaView, repairs: list[str]) -> None:
        super().__init__()
        self._calls, self._carrier, self._codec = calls, carrier, codec
        self._tags = tags(calls, carrier, codec)
        self._view = view
        self._declared = frozenset(view.keys)
        self._repairs = repairs
        self._given: set[str] = set()
        self._key_pair = ""  # the last key between its tags, where a pair of tags holds it
        self._leaf = Leaf(STRING, repairs)
        self._object = JsonValue(repairs)
        self._in_cdata = False
        self._quoted = 0  # blocks of calls that are open in the value
        self._at = _At.PARAMETER

    @property
    def clean(self) -> bool:
        """As `ArgumentReader.clean`."""
        return self._at is _At.PARAMETER or (self._at is _At.OBJECT and self._object.clean)

    @property
    def may_end(self) -> bool:
        """As `ArgumentReader.may_end`."""
        return self._at is _At.PARAMETER

    def close(self) -> None:
        """As `ArgumentReader.close`."""
        if self._at in (_At.VALUE_TAG, _At.VALUE_START, _At.VALUE):
            self.out.append(self._leaf.close())
        if self._at is _At.OBJECT:
            self._object.close()
            self.out += self._object.out
        elif not self._object.done:
            self.out.append("}" if self._given else "{}")
        self._at = _At.END
        self.done = True

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """As `ArgumentReader.read`."""
        self.stuck = False
        while pos < len(text) and not self.done and not self.stuck:
            before = pos, self._at
            match self._at:
                case _At.PARAMETER:
                    pos = self._parameter(text, pos, final=final)
                case _At.OBJECT:
                    pos = self._whole_object(text, pos)
                case _At.KEY:
                    pos = self._key(text, pos)
                case _At.VALUE_TAG:
                    pos = self._value_tag(text, pos, final=final)
                case _At.VALUE_START:
                    pos = self._value_start(text, pos, final=final)
                case _:
                    pos = self._value(text, pos, final=final)
            if (pos, self._at) == before:
                break
        return pos

    def _parameter(self, text: str, pos: int, *, final: bool) -> int:
        if space := _SPACE.match(text, pos):
            return space.end()
        if text[pos] == "{" and not self._given:
            self._at = _At.OBJECT
            return pos
        found = self._tags.tokens.match(text, pos, final=final)
        if found is not None and not found.marker:
            return pos
        marker = found.marker if found else ""
        if marker and marker in self._tags.opens and not self._object.done:
            self._at = _At.KEY
        elif marker and marker == self._carrier.close:
            self.close()
        elif not marker or marker not in self._tags.own_closers:
            is_key = self._is_key(text, pos, final=final)
            self._at = _At.KEY if is_key else self._at
            self.stuck = is_key is False
            return pos
        return pos + len(marker)

    def _whole_object(self, text: str, pos: int) -> int:
        """All arguments as one JSON object, without tags."""
        pos = self._object.read(text, pos)
        self.out += self._object.out
        self._object.out.clear()
        self.stuck = self._object.stuck
        if self._object.done:
            self._at = _At.PARAMETER
        return pos

    def _key(self, text: str, pos: int) -> int:
        header = self._tags.key.read(text, pos)
        if header is None:
            self.stuck = Header.too_long(text, pos)
            return pos
        inside, end = header
        while self._codec.value_open and inside.startswith(self._codec.open):  # a doubled opener
            inside = inside.removeprefix(self._codec.open)
        key = name_in(inside, self._codec.attribute) or self._only_missing()
        if not key and key not in self._declared:
            self.stuck = True
            return pos
        self.out.append(f'{", " if self._given else "{"}"{escape(key)}": ')
        self._given.add(key)
        self._key_pair = f"{self._codec.open}{inside}{self._codec.end}"
        self._leaf = Leaf(self._kinds(inside, key), self._repairs)
        self._at = _At.VALUE_TAG if self._codec.value_open else _At.VALUE_START
        return end

    def _only_missing(self) -> str:
        """The parameter that one without a name has to be: the only one that is required, or declared, and not given yet."""
        for names in (self._view.required, self._declared):
            if len(missing := names - self._given) == 1:
                self._repairs.append("missing-name")
                return next(iter(missing))
        return ""

    def _kinds(self, header: str, key: str) -> frozenset[str]:
        """The types of a value: what its tag says, else the schema."""
        said = attribute_in(header, self._codec.type_attribute) if self._codec.type_attribute else None
        if said in ("true", "false"):  # string="true"
            return STRING if said == "true" else ANY
        return frozenset({said}) if said in ANY else self._view.member(key).plain_kinds

    def _value_tag(self, text: str, pos: int, *, final: bool) -> int:
        """GLM has a tag of its own around the value, which models forget, double, or write beside a wrong closer."""
        space = _GAP.match(text, pos)
        start = space.end() if space else pos
        found = self._tags.pair.match(text, start, final=final)
        if (found is not None and not found.marker) or (start == len(text) and not final):
            return pos
        end = start + len(found.marker) if found else start
        if found is not None and found.marker == self._codec.end:
            return end
        repeated = _behind(self._key_pair, text, start, final=final)  # a doubled key
        if repeated is None or repeated > 0:
            return pos if repeated is None else repeated
        if found is not None and found.marker == self._codec.close:
            behind = _behind(self._codec.value_open, text, end, final=final)
            if behind is None:
                return pos
            end = behind if behind > 0 else start
        self._at = _At.VALUE_START
        return end

    def _value_start(self, text: str, pos: int, *, final: bool) -> int:
        self._in_cdata = False
        if self._codec.value_open:
            doubled = self._tags.pair.match(text, pos, final=final)
            if doubled is not None and not doubled.marker:
                return pos
            if doubled is not None and doubled.marker == self._codec.value_open:
                return pos + len(doubled.marker)
        if self._codec.cdata:
            found = self._tags.cdata.match(text, pos, final=final)
            if found is not None and not found.marker:
                return pos
            self._in_cdata = found is not None
        self._at = _At.VALUE
        if self._in_cdata:
            return pos + len(_CDATA)
        return pos + 1 if self._codec.newline and text[pos] == "\n" else pos

    def _value(self, text: str, pos: int, *, final: bool) -> int:
        found = self._tags.value[self._in_cdata].find(text, pos, final=final)
        if found is None or found.start > pos:
            end = len(text) if found is None else found.start
            self.out.append(self._leaf.write(text[pos:end]))
            return end
        if not found.marker:
            return pos
        tag = self._codec.close if self._in_cdata else self._tags.ends[found.marker]
        end = pos + len(found.marker)
        ends = self._ends_value(found.marker, tag, text, end, final=final)
        if ends is None and not final:
            return pos
        if not ends:
            self.out.append(self._leaf.write(text[pos]))
            return pos + 1
        self.out.append(self._leaf.end())
        self._at = _At.PARAMETER
        if tag == self._codec.close:
            return end
        self._repairs.append("missing-closer")
        return end - len(tag)

    def _ends_value(self, marker: str, tag: str, text: str, end: int, *, final: bool) -> bool | None:
        """Is this the end of the value? None: what tells is not there yet."""
        if tag == self._tags.block:
            behind = _behind(self._carrier.open, text, end, final=final)
            self._quoted += behind is not None and behind > 0
            return None if behind is None else False
        if not self._quoted:
            return self._opens_parameter(text, end) if tag == self._codec.open else self._has_edge(tag, text, end, final=final)
        self._quoted -= marker in self._calls.closes
        return tag == self._codec.close and self._ends_all(text, end, final=final)

    def _ends_all(self, text: str, end: int, *, final: bool) -> bool | None:
        """Do the call, its block and the output end here? None: that cannot be told yet."""
        for tag in (self._carrier.close, self._calls.close):
            behind = _behind(tag, text, end, final=final)
            if behind is None or behind < 0:
                return None if behind is None else False
            end = behind
        gap = _GAP.match(text, end)
        is_end = gap is not None and gap.end() == len(text)
        return is_end if final or not is_end else None

    def _has_edge(self, tag: str, text: str, end: int, *, final: bool) -> bool | None:
        """Does something follow that may follow this tag? None: it is not there yet."""
        for _ in range(_MOST_CLOSERS):  # doubled closers are one
            gap = _GAP.match(text, end)
            start = gap.end() if gap else end
            if start == len(text):
                return None if start - end < MAX_GAP and not final else final
            found = self._tags.edges[tag].match(text, start, final=final)
            if found is not None:
                return True if found.marker else None
            behind = [_behind(closer, text, start, final=final) for closer in self._tags.own_closers]
            if None in behind:
                return None
            if tag not in self._tags.own_closers or max(filter(None, behind)) < 0:
                return tag in self._tags.own_closers and self._is_key(text, start, final=final)
            end = max(filter(None, behind))
        return False

    def _is_key(self, text: str, pos: int, *, final: bool) -> bool | None:
        """Does a key that has lost its opener stand here, declared by the tool, not given yet, with its closer?

        None: it is not whole yet.
        """
        if not self._codec.value_open:
            return False
        found = _LOST_KEY.match(text, pos)
        end = found.end() if found else pos
        key = text[pos:end].strip()
        is_growing = end == len(text) and not final
        missing = self._declared - self._given
        if key not in missing:
            return None if is_growing and any(name.startswith(key) for name in missing) else False
        rest = text[end : end + len(self._codec.end)]
        if rest == self._codec.end:
            return True
        return None if self._codec.end.startswith(rest) and end + len(rest) == len(text) and not final else False

    def _opens_parameter(self, text: str, pos: int) -> bool | None:
        """Is this the tag of a parameter that the tool declares and the call has not given? None: it is not whole yet."""
        missing = self._declared - self._given
        if not missing:
            return False
        header = self._tags.key.read(text, pos)
        if header is None:
            return False if Header.too_long(text, pos) else None
        inside, end = header
        if name_in(inside, self._codec.attribute) not in missing:
            return False
        if not self._codec.newline:
            return True
        return None if end == len(text) else text[end] == "\n"


def _behind(tag: str, text: str, pos: int, *, final: bool) -> int | None:
    """Where this tag ends if it follows at `pos`, perhaps after space; -1: something else does; None: it is not there yet."""
    gap = _GAP.match(text, pos)
    start = gap.end() if gap else pos
    rest = text[start : start + len(tag)]
    if rest == tag:
        return start + len(tag)
    is_begun = tag.startswith(rest) and start + len(rest) == len(text) and start - pos < MAX_GAP
    return None if is_begun and not final else -1


@lru_cache
def tags(calls: Calls, carrier: NameTag, codec: TaggedArguments) -> Tags:
    """The tags of a way of writing."""
    return Tags(calls, carrier, codec)


def _spellings(opener: str) -> set[str]:
    """A tag's opener as it should be, and as models damage it."""
    whole = {opener}
    if opener[-1] in "= ":
        whole |= {opener[:-1] + "=", opener[:-1] + " "}
    return whole | {spelling[1:] for spelling in whole}
