"""F4: the arguments as those of a Python call: `add(a=1, b='x')`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragoman.constraints.tree import Json, Literal, Node, Pattern, Series, one_of
from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.literal_reader import LiteralReader
from dragoman.dialects.codecs.rules import Rules, object_place
from dragoman.dialects.values.json_text import dumps
from dragoman.dialects.values.literal_value import LiteralValue
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import STRING, SchemaView

_STRING = Pattern(r"'([^'\\\x00-\x1f]|\\['\\nrt])*'")
_STRING_KEYWORDS = frozenset({"pattern", "format", "minLength", "maxLength"})
"""The keywords of a schema that restrict a string."""


@dataclass(frozen=True, slots=True)
class KeywordArguments(Codec):
    """F4: the arguments are those of a Python call. The literals of JSON are read as well."""

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """Return a reader that begins after the opening parenthesis."""
        literal = LiteralValue(repairs, is_string=lambda key: view.member(key).kinds == STRING, positions=view.keys)
        literal.open_keywords()
        return LiteralReader(literal, is_open=True)

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write the arguments with their closing parenthesis."""
        return ", ".join(f"{key}={_written(value)}" for key, value in arguments.items()) + ")"

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """Require each value as a Python literal."""
        place = object_place(schema)
        items = [(Series((Literal(f"{name}="), _value(inner))), required) for name, inner, required in place.properties]
        return Series((rules.listed(items, ", "), Literal(")")))


def _written(value: Any) -> str:
    """A value as a Python literal; containers as JSON, which all of these families understand and most write."""
    return dumps(value) if isinstance(value, Mapping | list | tuple) else repr(value)


def _value(place: Place) -> Node:
    """A value as `_written` writes it."""
    made: list[Node] = []
    for simple in place.alternatives():
        if (values := simple.values) is not None:
            made += [Literal(repr(value)) for value in values]
        else:
            match simple.kind:
                case "boolean":
                    made += [Literal("True"), Literal("False")]
                case "null":
                    made.append(Literal("None"))
                case "string" | "" if not _STRING_KEYWORDS & simple.schema.keys():
                    made.append(_STRING)
                case _:
                    made.append(Json(simple.standalone))
    return one_of(made)
