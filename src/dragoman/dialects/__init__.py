"""What model families write: how to read it, and how to write it.

A dialect is one value (`dialect`), a row of choices in orthogonal blocks (`spec`); a family is such a value (`families`). The
incremental `parser`, the `encoder` and the `constraint` work off the blocks and know no family. No I/O, no clock.
"""

from dragoman.dialects.constraint import Constrainer, call_opening
from dragoman.dialects.dialect import Dialect
from dragoman.dialects.parser import Parser
from dragoman.dialects.registry import (
    BY_NAME,
    DEFAULT,
    UnknownDialect,
    by_reasoning_parser,
    by_tool_parser,
    combine,
    get,
    register,
)

__all__ = [
    "BY_NAME",
    "DEFAULT",
    "Constrainer",
    "Dialect",
    "Parser",
    "UnknownDialect",
    "by_reasoning_parser",
    "by_tool_parser",
    "call_opening",
    "combine",
    "get",
    "register",
]
