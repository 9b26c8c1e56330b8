"""The containers of Python that `LiteralValue` reads, each with its closers in Python and in JSON."""

from typing import NamedTuple


class Container(NamedTuple):
    """An open container: its closer, its closer in JSON, and the character after its keys ("": it has no keys)."""

    close: str
    json: str
    colon: str = ""


DICT, SET = Container("}", "}", ":"), Container("}", "]")
LIST, TUPLE = Container("]", "]"), Container(")", "]")
PARENTHESES = Container(")", "")  # around one value, unless a comma makes a tuple of it
KEYWORDS = Container(")", "}", "=")
UNPACKED = Container("}", "", ":")  # a dict after `**`: its members are keyword arguments
