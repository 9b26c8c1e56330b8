"""The building blocks of a dialect. A family is a row of choices among them, and nothing else.

    A  Frame       none, or messages with an address
    B  Reasoning   a span of thinking before (or between) the rest
    C  Wrapper     tags around the visible text
    D  Calls       the tags around a block of calls, or none, perhaps in a section of several,
    E                with its carrier of the name: JsonKey, KeyIsName, Affixes, Recipient, NameTag
    F                and its codec of the arguments: JsonArguments, TaggedArguments, LiteralArguments,
                     KeywordArguments, ElementArguments
    G                and its carrier of ids: none, IdKey, IdMark, IdInName
    H  StopStrings   what ends a turn and may leak into its text

The blocks are orthogonal: any reasoning goes with any calls. Carriers and codecs are closed unions; a new way of writing calls
is a new member, its reader in `codecs`, its line in `codecs.open_block` and in the encoder.

Newlines beside a marker are markup, but a word's indentation is not: behind an opener or a closer of B, everything up to the
last newline before the first word goes; before a closer, the newlines go. Space around a block of calls is markup too, unless
more text follows (it then belongs to that text). In a turn of text alone every byte counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """A: the turn is a sequence of messages, each with a header that says whom it is for.

    A header begins with one of `starts`, which stands in the prompt for the first and may be missing for others, and ends with
    `header_end`; a message ends with one of `ends`, or where the next header starts. What a header means, three patterns find
    in it, start and end included: `recipient` the declared tool (its group 1) that is called with what the message holds;
    failing that, `thinking` a message of reasoning; `known` any other proper header, of a message of text. A header that none
    of them finds anything in was none: it is text. `unended` is a whole header without its end, which models forget.

    A call is written as `call` with the tool's name, `header_end`, the call and `call_end`, with `between` between two; a
    message of text has the header `text`.
    """

    starts: tuple[str, ...]
    header_end: str
    ends: tuple[str, ...]
    recipient: str
    thinking: str
    known: str
    unended: str
    call: str
    call_end: str
    between: str
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """B: thinking between one of `opens` and one of `closes`.

    A doubled opener and a stray closer are dropped. `force_close` is what a model of the family would have written to end its
    thinking: it is put into the prompt when the budget is spent. With `ended_by_call`, a call of a declared tool ends it too;
    else such a call is a thought, unless the turn ends with it.
    """

    opens: tuple[str, ...] = ("<think>",)
    closes: tuple[str, ...] = ("</think>",)
    force_close: str = "\n</think>\n\n"
    ended_by_call: bool = True
    tags: tuple[str, ...] = ()
    """Markup within the span: dropped."""
    resumes: bool = False
    """Does thinking that a call has ended go on behind the call?"""
    prompted: bool = False
    """Does a prompt hold the opener where nothing was said about thinking? Then the models do not write it."""
    word_like_markers: tuple[str, ...] = ()
    """Those of the markers that are ordinary words: such an opener counts at the start of the turn only, such a closer only in
    thinking; elsewhere they are text."""
    misspelled_closers: tuple[str, ...] = ("</thinking>",)
    """What models write for a closer by mistake. It counts in thinking only, and not where its own opener came before it."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """C: tags around the visible text. They are dropped wherever they stand; each may be missing."""

    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonKey:
    """E: the name is the value of one of `keys` in the call's JSON object. The first is the one to write."""

    keys: tuple[str, ...] = ("name",)


@dataclass(frozen=True, slots=True)
class JsonArguments:
    """F1: the arguments are a JSON object under one of `keys`; it may be written as a string, or left out where empty.

    A block may hold one call, several, or an array of them; `array` is how the family itself writes. The JSON may stand in a
    Markdown fence; `fenced` again is how the family itself writes. With `raw`, a message to a tool may also hold no JSON at
    all: it is then the value of the only argument that the tool needs, as code is for an interpreter.
    """

    keys: tuple[str, ...] = ("arguments", "parameters")
    array: bool = False
    fenced: bool = False
    raw: bool = False


@dataclass(frozen=True, slots=True)
class KeyIsName:
    """E: the name is the only key of the call's JSON object, the arguments are its value."""


@dataclass(frozen=True, slots=True)
class Affixes:
    """E: the name stands in front of the arguments, from `prefix`, which may be missing, to `suffix`."""

    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """E: the name stands in the header of the message (A), the arguments are the whole message."""


@dataclass(frozen=True, slots=True)
class IdKey:
    """G: the id is a member of the call's JSON object, its first or its last.

    It is `length` letters and digits; 0: it is the number of the call in its turn, from "0".
    """

    key: str = "id"
    first: bool = False
    length: int = 0


@dataclass(frozen=True, slots=True)
class IdMark:
    """G: the id stands behind the name, after `mark`: `length` letters and digits; 0: the family itself writes none."""

    mark: str
    length: int = 9


@dataclass(frozen=True, slots=True)
class IdInName:
    """G: the id is the name with its prefix and a number behind `mark`: `functions.add:0`."""

    mark: str = ":"


@dataclass(frozen=True, slots=True)
class NameTag:
    """E: the name stands in a tag of its own, from `open` to `end`, and the call ends with `close`.

    Without `open`, the name begins right behind the block's opener (perhaps with `prefix`); without `end`, it ends where the
    line or the arguments do; without `close`, the call ends as its block does. With `attribute`, that attribute of the tag is
    the name and `id` the one that holds the id; `inside` is how the family writes it, with `{name}` and the place of the call
    in its turn: `{place}` from 0, `{number}` from 1.

    A block holds one call, or `many`, with `between` from one to the next. `before` and `after` are what the family writes
    around each; any of `skips` may stand there.
    """

    open: str = ""
    end: str = ""
    attribute: str = ""
    close: str = ""
    id: str = ""
    inside: str = ""
    prefix: str = ""
    many: bool = False
    between: str = "\n"
    before: str = ""
    after: str = ""
    skips: tuple[str, ...] = ()


CALLEE = NameTag(end="(", many=True, skips=("[", "]", ",", ";"))
"""E: the name is that of a function in Python."""


@dataclass(frozen=True, slots=True)
class TaggedArguments:
    """F2: each argument stands between a tag that holds its name, from `open` to `end`, and `close`. Nothing is escaped.

    The name is the inside of the tag, or its `attribute`. `value_open` is a second tag between the name and the value. With
    `newline`, one newline behind the tag and one before `close` are markup, else every byte counts. `between` is written from
    one argument to the next and around all of them.

    A value's type is what the schema says, unless the attribute `type_attribute` says it: with a JSON type, or with "true" for
    a string and "false" for anything else. With `cdata`, a value may be wrapped as in XML.
    """

    open: str
    end: str
    close: str
    attribute: str = ""
    value_open: str = ""
    type_attribute: str = ""
    newline: bool = False
    between: str = "\n"
    cdata: bool = False


@dataclass(frozen=True, slots=True)
class LiteralArguments:
    """F3: the arguments are one dict with bare keys, and strings between two `quote`, without escapes."""

    quote: str


@dataclass(frozen=True, slots=True)
class KeywordArguments:
    """F4: the arguments are those of a Python call; JSON's literals are read too. `listed`: calls are written as a list."""

    listed: bool = True


@dataclass(frozen=True, slots=True)
class ElementArguments:
    """F5: the arguments are a tree of elements, one for each key of an object and each element of an array.

    A tag is `open`, a name, `end`, where the name may be an `attribute`; `close` closes it, with `{}` for the name. The
    elements of an array are called `item`, or nothing. `type_attribute` says what an element holds: raw, json, dict, list.
    """

    open: str
    close: str
    end: str = ">"
    attribute: str = ""
    item: str = ""
    type_attribute: str = ""


Carrier = JsonKey | KeyIsName | Affixes | Recipient | NameTag
Codec = JsonArguments | TaggedArguments | LiteralArguments | KeywordArguments | ElementArguments
Ids = IdKey | IdMark | IdInName


@dataclass(frozen=True, slots=True)
class Calls:
    """D: a block of calls between one of `opens` and one of `closes`, which may be missing; some families have none.

    The first of each is written, with `padding` inside the tags, `between` from one block to the next and `lead` from the
    turn's words to the first.

    Blocks may stand in a section of several, between one of `section_opens` and one of `section_closes`; all of them may be
    missing. With `bare`, a block may also begin without an opener, as the first visible thing of a turn, with one of these
    characters. Such a block, and one whose openers are `doubtful`, may be something else altogether: in it, a call needs not
    only the name of a declared tool but arguments as well.
    """

    opens: tuple[str, ...] = ("<tool_call>",)
    closes: tuple[str, ...] = ("</tool_call>",)
    carrier: Carrier = JsonKey()
    codec: Codec = JsonArguments()
    ids: Ids | None = None
    padding: str = "\n"
    between: str = "\n"
    lead: str = "\n"
    section_opens: tuple[str, ...] = ()
    section_closes: tuple[str, ...] = ()
    bare: str = ""
    doubtful: bool = False

    @property
    def open(self) -> str:
        """The opener to write."""
        return self.opens[0] if self.opens else ""

    @property
    def close(self) -> str:
        """The closer to write."""
        return self.closes[0] if self.closes else ""


@dataclass(frozen=True, slots=True)
class Results:
    """How results are written back where the template has no turns for them: each between `open` and `close`, in a user turn.

    `{name}`, `{id}` and `{place}`, which counts from 0, are those of the call. The outcome is written as text, with `json` as a
    JSON string. `between` stands from one result to the next, `before` and `after` around all of them.
    """

    open: str = "<tool_response>\n"
    close: str = "\n</tool_response>"
    between: str = "\n"
    before: str = ""
    after: str = ""
    json: bool = False


@dataclass(frozen=True, slots=True)
class StopStrings:
    """H: spellings of what ends a turn. Behind the last word they are dropped; with text behind them they are text.

    `citations` are the tags around what is cited, dropped wherever they stand; one that has no `>` goes on to the next.
    """

    ends: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """The row of choices: all that reading and writing a dialect needs. None: the family has no such thing.

    `calls` is what the family writes; `also`, what its models are known to write besides, is only read.
    """

    frame: Frame | None = None
    reasoning: Reasoning | None = None
    wrapper: Wrapper = Wrapper()
    calls: Calls | None = None
    also: tuple[Calls, ...] = ()
    results: Results = Results()
    stop_strings: StopStrings = StopStrings()
