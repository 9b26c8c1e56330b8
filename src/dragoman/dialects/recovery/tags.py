# ruff: noqa: RUF001, RUF002  (the bars are part of the tokens)
r"""Tags in the spelling of any family, and their meaning.

A `Tag` is any of these: `<function=add>`, `<invoke name="add">`, `<minimax:tool_call>`, `<｜DSML｜invoke name="add">`,
`<|tool_call>`, `<tool_call|>`, `]<]minimax[>[<item>`, `<|open|>call tool="add"<|sep|>`, `[TOOL_CALLS]`. The meaning follows
from the letters of its word alone, so that the tag of a related family and a misspelled one are understood.
"""

import re
from collections.abc import Container
from enum import Enum, auto
from typing import NamedTuple

from dragoman.dialects.recovery.source import Source
from dragoman.dialects.tag_reader import attribute_in

MAX_TAG = 256
"""Characters of the longest tag with all its attributes."""

_MARK = "]<]minimax[>["
_TOKENS = re.compile(rf"<\|(open|close)\|>([^<>\n]{{1,{MAX_TAG}}}?)<\|sep\|>")
_ANGLES = re.compile(rf"<(?=[/|｜\w])([^<>\n]{{1,{MAX_TAG}}}?)>")
_BRACKETS = re.compile(r"\[(/?[A-Z][A-Z_]{2,24})\]")
_BEGUN = re.compile(
    rf"<(?:[/|｜\w][^<>\n]{{0,{MAX_TAG}}})?\Z|\[/?[A-Z_]{{0,25}}\Z"
    rf"|<\|(?:open|close)\|>[^<>\n]{{0,{MAX_TAG}}}(?:<(?:\|(?:s(?:e(?:p(?:\|)?)?)?)?)?)?\Z"
)
_WORD = re.compile(r"[\w.\-\\▁]+(?:[:|｜][\w.\-\\▁]+)*")
_SEPARATOR = re.compile(r"[:|｜]")
_NO_LETTER = re.compile(r"[\W_▁]+")
_VALUE = re.compile(r"""\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")

_CALLS = frozenset({"function", "invoke", "tool", "call", "toolcall", "functioncall", "tooluse", "invocation", "action"})
_PARAMETERS = frozenset({"parameter", "param", "argument", "arg", "value", "field", "property", "input"})
_KEY, _VALUE_WORD = frozenset({"argkey", "argname"}), frozenset({"argvalue"})
_SEPARATORS = frozenset({"toolsep", "args", "callid", "toolcallargumentbegin", "sep", "message", "constrain"})
_STARTS = frozenset({"channel", "start", "messagesep", "rolesep", "minimax"})
_WRAPPER = re.compile(
    r"tool|func|invo[kc]|plugin|python(?:tag|start|end)|^calls?$|^(?:start|end)?actions?(?:start|end)?$|call(?:s|begin|end)?$"
)
_NAME_ATTRIBUTES = ("name", "tool", "function", "tool_name", "function_name")
_KEY_ATTRIBUTES = ("name", "key")


_CLOSING = re.compile(r"^end|(?:end|suffix)$")
_SIDE = re.compile(r"^(?:begin|start|end)(?=.)|s?(?:begin|start|end|prefix|suffix)?$")


class Role(Enum):
    """The meaning of a tag."""

    CALL = auto()  # a call of the tool `name` begins, or a call ends
    PARAMETER = auto()  # the argument `name` begins, or an argument ends
    KEY = auto()  # the name of an argument begins or ends
    VALUE = auto()  # its value begins or ends
    SEPARATOR = auto()  # stands between a call's name and its arguments
    WRAPPER = auto()  # stands around calls
    OTHER = auto()


class Tag(NamedTuple):
    """A tag in a text."""

    role: Role
    end: int
    """Its end in the text."""
    word: str
    """Its element name, as `invoke`."""
    name: str
    """The name of the tool or argument that it holds, or ""."""
    inside: str
    """All text between its brackets."""
    closes: bool
    """Whether it is a closer."""
    empty: bool
    """Whether it opens and closes an element at once."""

    @property
    def stem(self) -> str:
        """The word reduced to its letters and its stem, equal for an opener and its closer."""
        return _SIDE.sub("", _letters(self.word))

    def attribute(self, name: str) -> str | None:
        """The value of an attribute, or None."""
        return attribute_in(self.inside, name)

    @property
    def is_token(self) -> bool:
        """Whether it is spelled like a special token."""
        return self.inside.startswith("|")


def tag_at(source: Source, pos: int, tools: Container[str]) -> Tag | None:
    """The tag at `pos`, or None. `tools` are the names of tools, which may be element names (`<add><a>1</a></add>`)."""
    text = source.text
    start = pos
    if text.startswith("]", pos):
        if not source.literal(pos, _MARK):
            return None
        start = pos + len(_MARK)
        if source.at_end(start) or text[start] != "<":
            return _tag("minimax", start, tools)
    if text[start] not in "<[":
        return None
    if _BEGUN.match(text, start) and len(text) - start < MAX_TAG:
        source.expect_more()
    if found := _TOKENS.match(text, start):
        tag = _tag(found[2], found.end(), tools, closes=found[1] == "close")
        return tag._replace(role=Role.WRAPPER, closes=False) if tag.role is Role.OTHER else tag
    if found := _ANGLES.match(text, start) or _BRACKETS.match(text, start):
        return _tag(found[1], found.end(), tools)
    return None


def _tag(inside: str, end: int, tools: Container[str], *, closes: bool = False) -> Tag:
    body = inside.strip("|｜/ ")
    empty = inside.endswith("/") and not inside.startswith("/")
    closes = (
        closes or inside.lstrip("|｜").startswith("/") or (inside.endswith(("|", "｜")) and not inside.startswith(("|", "｜")))
    )
    found = _WORD.match(body)
    if found is None:
        return Tag(Role.OTHER, end, "", "", inside, closes, empty)
    parts = _SEPARATOR.split(found.group())
    rest = body[found.end() :]
    word = next((part for part in parts if _role(_letters(part)) is not Role.OTHER), parts[-1])
    role = _role(_letters(word))
    word_closes = role is Role.WRAPPER and _CLOSING.search(_letters(word)) is not None
    name = _named(rest, _KEY_ATTRIBUTES if role is Role.PARAMETER else _NAME_ATTRIBUTES)
    if role is Role.CALL and not name and not closes:
        role = Role.WRAPPER
    if word in tools and not name:  # `<add><a>1</a></add>`
        role, name = Role.CALL, word
    if role is Role.PARAMETER and not name and not closes:
        role = Role.OTHER
    return Tag(role, end, word, name, inside, closes or word_closes, empty)


def _role(letters: str) -> Role:
    if letters in _CALLS:
        return Role.CALL
    if letters in _PARAMETERS:
        return Role.PARAMETER
    if letters in _KEY:
        return Role.KEY
    if letters in _VALUE_WORD:
        return Role.VALUE
    if letters in _SEPARATORS:
        return Role.SEPARATOR
    return Role.WRAPPER if letters in _STARTS or _WRAPPER.search(letters) else Role.OTHER


def _letters(word: str) -> str:
    return _NO_LETTER.sub("", word).lower()


def _named(rest: str, attributes: tuple[str, ...]) -> str:
    """The name in a tag: `=add`, `name="add"`, ` add`."""
    if found := _VALUE.match(rest):
        return next(filter(None, found.groups()), "")
    for attribute in attributes:
        if value := attribute_in(rest, attribute):
            return value
    bare = rest.strip()
    return bare if bare and re.fullmatch(r"[\w.\-]+", bare) else ""
