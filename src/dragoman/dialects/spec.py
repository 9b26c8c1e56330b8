r"""The building blocks of a dialect: a family is one combination of them.

    A  Frame       none, or the output is several messages, each with a header
    B  Reasoning   none, or a span of reasoning before (or between) text and calls
    C  Wrapper     tags around the visible text
    D  Calls       the tags around a block of calls, and around a section of several blocks, with
    E                a carrier of the tool's name: JsonKey, KeyIsName, Affixes, Recipient, NameTag
    F                a codec of the arguments: JsonArguments, TaggedArguments, LiteralArguments,
                     KeywordArguments, ElementArguments
    G                a carrier of the call's id: none, IdKey, IdMark, IdInName
    H  StopStrings   the special tokens that end a generation and may appear in its text

The output `<think>Two numbers.</think>\n\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>` uses `Reasoning`
and `Calls` with their defaults. The blocks are independent of each other: any reasoning goes with any calls. Where a field
lists several spellings, all of them are read and the first one is written; "" and () mean that the family has no such text.

The codecs are classes of `codecs`, each with its reader, its writer and its constraint. To add a carrier: a class here, its
reader in `blocks`, its writer in `writer`.

Newlines beside a marker are markup, but a word's indentation is not: after an opener or a closer of B, everything up to the
last newline before the first word is dropped; before a closer, the newlines are. Space around a block of calls is markup too,
unless more text follows (it then belongs to that text). In an output of text alone every byte counts.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

from dragoman.dialects.codecs import (
    CallTags,
    Codec,
    ElementArguments,
    JsonArguments,
    KeywordArguments,
    LiteralArguments,
    TaggedArguments,
)
from dragoman.dialects.markdown import JSON_FENCES

__all__ = [
    "CALLEE",
    "Affixes",
    "CallTags",
    "Calls",
    "CallsInside",
    "Carrier",
    "Codec",
    "ElementArguments",
    "Frame",
    "IdInName",
    "IdKey",
    "IdMark",
    "Ids",
    "JsonArguments",
    "JsonKey",
    "KeyIsName",
    "KeywordArguments",
    "LiteralArguments",
    "NameTag",
    "Reasoning",
    "Recipient",
    "Results",
    "StopStrings",
    "Syntax",
    "TaggedArguments",
    "Wrapper",
]


@dataclass(frozen=True, slots=True)
class Frame:
    """A: the output is a sequence of messages, each with a header that names its recipient.

    In gpt-oss, `<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>` is one message: everything
    up to `<|message|>` is its header. The start of the first header is already in the prompt. `recipient`, `thinking` and
    `known` are regular expressions, searched in the whole header (start and end included) in that order; a "header" in which
    none of them is found is text.
    """

    starts: tuple[str, ...]
    """Markers that begin a header, as `<|start|>`; a later message may lack its start."""
    header_end: str
    """The marker that ends a header, as `<|message|>`."""
    ends: tuple[str, ...]
    """Markers that end a message, as `<|end|>`; a message also ends where the next header starts."""
    recipient: str
    """Finds the name of the called tool, as its group 1; if that tool is declared, the message holds the call's arguments."""
    thinking: str
    """Found in the header of a message of reasoning."""
    known: str
    """Found in every other proper header; its message is visible text."""
    unended: str
    """Matches a complete header that lacks `header_end`, which models forget."""
    call: str
    """The header to write for a call, without `header_end`; `{name}` is the tool."""
    call_end: str
    """Written after a call's arguments."""
    between: str
    """Written between the messages of two calls."""
    text: str
    """The header to write for a message of text, without `header_end`."""


class CallsInside(Enum):
    """The meaning of a call of a declared tool inside of reasoning."""

    END = auto()  # it ends the reasoning
    INTERRUPT = auto()  # the reasoning continues after it
    TENTATIVE = auto()  # it is part of the reasoning unless the output ends with it


@dataclass(frozen=True, slots=True)
class Reasoning:
    """B: a span of reasoning, as `<think>Two numbers.</think>`; a doubled opener or a closer without an opener is dropped."""

    opens: tuple[str, ...] = ("<think>",)
    closes: tuple[str, ...] = ("</think>",)
    force_close: str = "\n</think>\n\n"
    """The text that ends unfinished reasoning, as the family writes it: added to the prompt when the thinking budget is
    spent."""
    calls_inside: CallsInside = CallsInside.END
    tags: tuple[str, ...] = ()
    """Markup inside the span, which is dropped."""
    prompted: bool = False
    """Whether the prompt ends with the opener by default, with no option about thinking set; the models then do not write
    it."""
    word_like_markers: tuple[str, ...] = ()
    """Those of `opens` and `closes` that are ordinary words, as `Here is my response:`. Such an opener counts only at the start
    of the output, such a closer only inside reasoning; elsewhere they are text."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """C: tags around the visible text, as `<response>` and `</response>`; they are dropped wherever they appear."""

    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonKey:
    """E: the name is a member of the call's JSON object: `{"name": "add", "arguments": {"a": 1}}`."""

    keys: tuple[str, ...] = ("name",)


@dataclass(frozen=True, slots=True)
class KeyIsName:
    """E: the name is the only key of the call's JSON object, and the arguments are its value: `{"add": {"a": 1}}`."""


@dataclass(frozen=True, slots=True)
class Affixes:
    """E: the name is before the arguments, between a prefix and a suffix: `functions.add<|tool_sep|>{"a": 1}`."""

    prefix: str = ""
    """Before the name, as `functions.`; the output may lack it."""
    suffix: str = ""
    """Between the name and the arguments, as `[ARGS]`."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """E: the name is in the header of a message (A), and the whole message is the arguments."""


@dataclass(frozen=True, slots=True)
class IdKey:
    """G: the id is a member of the call's JSON object: `{"name": "add", "arguments": {"a": 1}, "id": "a1b2c3d4e"}`."""

    key: str = "id"
    first: bool = False
    """Whether it is written as the first member; else it is the last."""
    length: int = 0
    """Number of letters and digits of an id; 0: the id is the call's index in its turn, from "0"."""


@dataclass(frozen=True, slots=True)
class IdMark:
    """G: the id follows the name, after a mark: `add[CALL_ID]a1b2c3d4e[ARGS]{"a": 1}`."""

    mark: str
    length: int = 9
    """Number of letters and digits of an id; 0: ids are read but not written."""


@dataclass(frozen=True, slots=True)
class IdInName:
    """G: the id is the whole name with its prefix, the mark and a number: `functions.add:0`."""

    mark: ClassVar[str] = ":"


@dataclass(frozen=True, slots=True)
class NameTag:
    """E: the name is in a tag before the arguments: `<invoke name="add">…</invoke>`, `<function=add>…`, `add(…)`."""

    open: str = ""
    """Begins the tag, as `<invoke `; "": the name follows the opener of the block (`Calls.opens`)."""
    end: str = ""
    """Ends the tag, as `>`; "": the name ends at the end of the line, or where the arguments begin."""
    attribute: str = ""
    """The attribute that holds the name, as `name`; "": the tag holds only the name."""
    close: str = ""
    """Ends the call, as `</invoke>`; "": the call ends where its block does."""
    id: str = ""
    """The attribute that holds the id of the call."""
    inside: str = ""
    """The inside of the tag as it is written, with `{name}` and the call's position in its turn: `{place}` from 0, `{number}`
    from 1. "": the name, or `attribute` with the name."""
    prefix: str = ""
    """Written before the name, as `call:`; the output may lack it."""
    many: bool = False
    """Whether a block holds several calls; else it holds one."""
    between: str = "\n"
    """Written between two calls of a block."""
    before: str = ""
    """Written before each call, inside the block."""
    after: str = ""
    """Written after each call, inside the block."""
    list_open: str = ""
    """Written before the first call of a block, as `[`."""
    list_close: str = ""
    """Written after the last one, as `]`."""
    skips: tuple[str, ...] = ()
    """Texts that are ignored before, between and after the calls of a block."""


CALLEE = NameTag(end="(", many=True, between=", ", list_open="[", list_close="]", skips=("[", "]", ",", ";"))
"""E: the name of a function in Python, in a list of calls: `[add(a=1), now()]`."""


_JSON = JsonArguments()

Carrier = JsonKey | KeyIsName | Affixes | Recipient | NameTag
Ids = IdKey | IdMark | IdInName


@dataclass(frozen=True, slots=True)
class Calls:
    r"""D: a block of calls between an opener and a closer, and the way in which the calls in it are written.

    With the defaults, a block is `<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>`.
    """

    opens: tuple[str, ...] = ("<tool_call>",)
    closes: tuple[str, ...] = ("</tool_call>",)
    """A closer may be missing in the output; (): the block ends where something else than a call follows."""
    carrier: Carrier = JsonKey()
    codec: Codec = _JSON
    ids: Ids | None = None
    padding: str = "\n"
    """Written after the opener and before the closer."""
    between: str = "\n"
    """Written between two blocks."""
    lead: str = "\n"
    """Written between the text of a turn and its first block."""
    section_opens: tuple[str, ...] = ()
    """Openers of a section of several blocks, as `<|tool_calls_section_begin|>`; the output may lack both tags of a section."""
    section_closes: tuple[str, ...] = ()
    bare: str = ""
    """Characters with one of which a block may begin without an opener, as the first visible character of the output."""

    def __post_init__(self) -> None:
        """Raise `TypeError` if the name is written in JSON and the arguments are not."""
        if isinstance(self.carrier, JsonKey | KeyIsName) and not isinstance(self.codec, JsonArguments):
            raise TypeError(f"{type(self.carrier).__name__} needs JsonArguments, not {type(self.codec).__name__}")

    @property
    def json_codec(self) -> JsonArguments:
        """The codec, where the name is a part of the call's JSON object."""
        assert isinstance(self.codec, JsonArguments)
        return self.codec

    @property
    def doubtful(self) -> bool:
        """Whether an opener is a code fence, which often begins something else.

        Such a block, and a bare one, holds a call only where it has arguments in addition to the name of a declared tool.
        """
        return any(opener in JSON_FENCES for opener in self.opens)

    @property
    def open(self) -> str:
        """The opener to write."""
        return self.opens[0] if self.opens else ""

    @property
    def close(self) -> str:
        """The closer to write."""
        return self.closes[0] if self.closes else ""

    @property
    def tags(self) -> CallTags:
        """The markup around the arguments of a call."""
        carrier = self.carrier
        if isinstance(carrier, NameTag):
            return CallTags(self.opens, self.closes, carrier.open, carrier.close, carrier.skips)
        return CallTags(self.opens, self.closes)


@dataclass(frozen=True, slots=True)
class Results:
    """The way to write tool results in a user turn, for chat templates that have no tool messages.

    `open` and `close` are written around each result and may hold `{name}`, `{id}` and `{place}` (from 0) of its call.
    """

    open: str = "<tool_response>\n"
    close: str = "\n</tool_response>"
    between: str = "\n"
    """Written between two results."""
    before: str = ""
    """Written before the first result."""
    after: str = ""
    """Written after the last result."""
    json: bool = False
    """Whether the outcome is written as a JSON string; else as plain text."""


@dataclass(frozen=True, slots=True)
class StopStrings:
    """H: the special tokens of the family that an engine may leave in the text."""

    ends: tuple[str, ...] = ()
    """Tokens that end a generation, as `<|im_end|>`: dropped after the last word; text if more text follows."""
    citations: tuple[str, ...] = ()
    """Tags around citations, dropped wherever they appear; one that lacks its `>` extends to the next `>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """All that reading and writing a dialect needs; None: the family has no such block."""

    frame: Frame | None = None
    reasoning: Reasoning | None = None
    wrapper: Wrapper = Wrapper()
    calls: Calls | None = None
    """The way in which the family writes calls."""
    also: tuple[Calls, ...] = ()
    """Other ways in which its models are known to write calls; they are only read."""
    results: Results = Results()
    stop_strings: StopStrings = StopStrings()
