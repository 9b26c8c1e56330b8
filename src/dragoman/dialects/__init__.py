"""The notations of model families for reasoning and tool calls: reading them, writing them, constraining a model to them.

A dialect is one value (`dialect`), a combination of independent blocks (`spec`); a family is such a value (`families`). The
incremental `parser`, the `writer` and the `constraint` work with the blocks alone, whatever the family. No I/O, no clock.
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
from dragoman.dialects.special_markers import SpecialMarkers

__all__ = [
    "BY_NAME",
    "DEFAULT",
    "Constrainer",
    "Dialect",
    "Parser",
    "SpecialMarkers",
    "UnknownDialect",
    "by_reasoning_parser",
    "by_tool_parser",
    "call_opening",
    "combine",
    "get",
    "register",
]
