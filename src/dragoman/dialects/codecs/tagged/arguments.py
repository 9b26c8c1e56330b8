"""F2: the codec of tagged arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dragoman.constraints.tree import Literal, Node, Pattern, Repeat, Series, Until, one_of
from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.rules import Rules, object_place, optional, plain
from dragoman.dialects.codecs.tagged.notation import TagNotation
from dragoman.dialects.codecs.tagged.reader import TaggedReader
from dragoman.dialects.values.json_text import json_type
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import SchemaView

_NAME, _VALUE = "\ufdd0", "\ufdd1"
_ANY_NAME = Pattern("[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class TaggedArguments(TagNotation, Codec):
    """F2: each argument is in a pair of tags: `<parameter=a>1</parameter>`."""

    bracketed: ClassVar[bool] = False

    @property
    def begins(self) -> str:
        """The opener of the first argument."""
        return self.open

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """Return a reader that types each value by its tag or by the schema."""
        return TaggedReader(self, tags, view, repairs)

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write the arguments in their order."""
        return self.between + "".join(self.written(key, value) + self.between for key, value in arguments.items())

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """Require the arguments in the order of the schema; without properties, any argument may come."""
        place, between = object_place(schema), Literal(self.between)
        if not place.properties and place.schema.get("additionalProperties") is not False:
            head, _, rest = self.around(_NAME, _VALUE, "string").partition(_NAME)
            tail, _, after = rest.partition(_VALUE)
            parameter = Series((Literal(head), _ANY_NAME, Literal(tail), Until((after,)), between))
            return Series((between, Repeat(parameter)))
        parameters = (
            optional(Series((self._parameter(name, inner), between)), required) for name, inner, required in place.properties
        )
        return Series((between, *parameters))

    def _parameter(self, name: str, place: Place) -> Node:
        """One argument as `written` writes it."""
        alternatives = place.alternatives()
        free = next((simple for simple in alternatives if simple.kind in ("string", "") and simple.values is None), None)
        if free is not None:  # any text: what another alternative allows is such a text too
            typed = (simple for simple in alternatives if self.type_attribute and simple.kind not in ("string", ""))
            alternatives = [free, *typed]
        made = []
        for simple in alternatives:
            values = simple.values
            kind = simple.kind or (json_type(values[0]) if values else "string")
            before, _, after = self.around(name, _VALUE, "number" if kind == "integer" else kind).partition(_VALUE)
            made.append(Series((Literal(before), plain(simple, kind, after))))
        return one_of(made)
