"""The building blocks of a dialect. A family is a row of choices among them, and nothing else.

    A  Frame       none: the output is one message
    B  Reasoning   a span of thinking before (or between) the rest
    C  Wrapper     tags around the visible text
    D  Calls       the tags around a block of calls,
    E                with its carrier of the name: JsonKey
    F                and its codec of the arguments: JsonArguments
    G  Ids         none: the wire carries no ids
    H  Terminals   what ends a turn and may leak into its text

The blocks are orthogonal: any reasoning goes with any calls. Carriers and codecs are closed unions; a new way of writing calls
is a new member, its reader in `codecs`, its line in `codecs.open_block` and in the encoder.

Newlines beside a marker are markup, but a word's indentation is not: behind an opener or a closer of B, everything up to the
last newline before the first word goes; before a closer, the newlines go. Space around a block of calls is markup too, unless
more text follows (it then belongs to that text). In a turn of text alone every byte counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reasoning:
    """B: thinking between one of `opens` and one of `closes`.

    A doubled opener and a stray closer are dropped. `force_close` is what a model of the family would have written to end its
    thinking: it is put into the prompt when the budget is spent. With `ended_by_call`, a call of a declared tool ends it too.
    """

    opens: tuple[str, ...] = ("<think>",)
    closes: tuple[str, ...] = ("</think>",)
    force_close: str = "\n</think>\n\n"
    ended_by_call: bool = True


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

    A block may hold one call, several, or an array of them; `array` is how the family itself writes.
    """

    keys: tuple[str, ...] = ("arguments", "parameters")
    array: bool = False


Carrier = JsonKey
Codec = JsonArguments


@dataclass(frozen=True, slots=True)
class Calls:
    """D: a block of calls between one of `opens` and one of `closes`, which may be missing; some families have none.

    The first of each is written, with `padding` inside the tags and `between` from one block to the next.
    """

    opens: tuple[str, ...] = ("<tool_call>",)
    closes: tuple[str, ...] = ("</tool_call>",)
    carrier: Carrier = JsonKey()
    codec: Codec = JsonArguments()
    padding: str = "\n"
    between: str = "\n"

    @property
    def open(self) -> str:
        """The opener to write."""
        return self.opens[0]

    @property
    def close(self) -> str:
        """The closer to write."""
        return self.closes[0] if self.closes else ""


@dataclass(frozen=True, slots=True)
class Results:
    """How the result of a call is written back: between `open` and `close`, in a turn of the user's."""

    open: str = "<tool_response>\n"
    close: str = "\n</tool_response>"


@dataclass(frozen=True, slots=True)
class Terminals:
    """H: spellings of what ends a turn. Behind the last word they are dropped; with text behind them they are text."""

    ends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """The row of choices: all that reading and writing a dialect needs. None: the family has no such thing."""

    reasoning: Reasoning | None = None
    wrapper: Wrapper = Wrapper()
    calls: Calls | None = None
    results: Results = Results()
    terminals: Terminals = Terminals()
