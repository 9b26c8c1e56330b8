"""The containers of Python that a `Literal` reads: how each closes in Python, and in JSON."""

from typing import NamedTuple


class Frame(NamedTuple):
    """An open container: how it closes here and in JSON, and what stands behind its keys (""; it has none)."""

    close: str
    json: str
    colon: str = ""


DICT, SET = Frame("}", "}", ":"), Frame("}", "]")
LIST, TUPLE = Frame("]", "]"), Frame(")", "]")
PARENTHESES = Frame(")", "")  # around one value, unless a comma makes a tuple of it
KEYWORDS = Frame(")", "}", "=")
UNPACKED = Frame("}", "", ":")  # a dict after `**`: its members are keyword arguments
