"""The markup of a dialect: everything that its output may hold in addition to words of the model."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from dragoman.dialects.spec import Syntax


def markup(syntax: Syntax) -> frozenset[str]:
    """Return the strings that mark reasoning, text, calls and messages; those that end a generation are not among them."""
    blocks = (syntax.frame, syntax.reasoning, syntax.wrapper, syntax.calls, syntax.also, syntax.stop_strings.citations)
    return frozenset(filter(None, _strings(blocks)))


def _strings(value: object) -> Iterator[str]:
    """The strings in a block and in its fields."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _strings(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _strings((*value.keys(), *value.values()))
    elif isinstance(value, tuple | list | frozenset | set):
        for item in value:
            yield from _strings(item)
