"""F3: the arguments as one dict with bare keys, whose strings are between two special tokens: `{a:1,b:<|"|>x<|"|>}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dragoman.constraints.tree import Json, Literal, Node, Repeat, Series, Until, one_of
from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.literal_reader import LiteralReader
from dragoman.dialects.codecs.rules import NOTHING, Rules, object_place, optional, repeats, string_patterns
from dragoman.dialects.values.json_text import dumps
from dragoman.dialects.values.literal_value import LiteralValue
from dragoman.dialects.values.token_string import token_string
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import STRING, SchemaView

_PLAIN_KEY = re.compile(r"[^\s,:=()\[\]{}\"'<]+")


@dataclass(frozen=True, slots=True)
class LiteralArguments(Codec):
    """F3: the arguments are one dict with bare keys; strings are between two special tokens."""

    superfluous: ClassVar[str] = "}]"

    quote: str
    """The token on both sides of a string, in which nothing is escaped."""

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """Return a reader that begins at the opening brace."""
        strings = token_string(self.quote, tags.opens, tags.closes)
        literal = LiteralValue(repairs, strings, lambda key: view.member(key).kinds == STRING, view.keys)
        return LiteralReader(literal, is_open=False)

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write the dict."""
        return self._written(arguments)

    def _written(self, value: Any) -> str:
        match value:
            case str():
                return self._quoted(value)
            case Mapping():
                return "{" + ",".join(f"{self._key(key)}:{self._written(inner)}" for key, inner in value.items()) + "}"
            case list() | tuple():
                return "[" + ",".join(map(self._written, value)) + "]"
            case _:
                return dumps(value)

    def _key(self, key: str) -> str:
        """A key, in quotes if it needs them."""
        return key if _PLAIN_KEY.fullmatch(key) else self._quoted(key)

    def _quoted(self, text: str) -> str:
        return self.quote + text + self.quote

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """Require the dict, with its keys in the order of the schema."""
        return self._object(object_place(schema), rules)

    def _object(self, place: Place, rules: Rules) -> Node:
        items = [
            (Series((Literal(self._key(name) + ":"), rules.recursive(inner, partial(self._value, rules=rules)))), required)
            for name, inner, required in place.properties
        ]
        return Series((Literal("{"), rules.listed(items, ","), Literal("}")))

    def _value(self, place: Place, rules: Rules) -> Node:
        """A value as `_written` writes it."""
        if (values := place.values) is not None:
            return one_of(
                [Literal(self._quoted(value)) if isinstance(value, str) else Json({"const": value}) for value in values]
            )
        match place.kind:
            case "object":
                return self._object(place, rules)
            case "array":
                least, most = repeats(place)
                inner = rules.recursive(place.items, partial(self._value, rules=rules))
                more = Repeat(Series((Literal(","), inner)), max(least - 1, 0), None if most is None else max(most - 1, 0))
                filled = Series((inner, more))
                return Series((Literal("["), filled if least else NOTHING if most == 0 else optional(filled), Literal("]")))
            case "string" | "":
                return Series((Literal(self.quote), Until((self.quote,), string_patterns(place))))
            case _:
                return Json(place.standalone)
