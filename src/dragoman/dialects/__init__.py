"""What model families write: how to read it, and how to write it.

A dialect is one value (`dialect`), a row of choices in orthogonal blocks (`spec`); a family is such a value (`families`). The
incremental `parser` and the `encoder` work off the blocks and know no family. No I/O, no clock.
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.parser import Parser
from dragoman.dialects.registry import BY_NAME, DEFAULT, UnknownDialect, by_reasoning_parser, by_tool_parser, combine, get

__all__ = [
    "BY_NAME",
    "DEFAULT",
    "Dialect",
    "Parser",
    "UnknownDialect",
    "by_reasoning_parser",
    "by_tool_parser",
    "combine",
    "get",
]
