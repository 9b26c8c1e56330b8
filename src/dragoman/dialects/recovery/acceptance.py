"""Acceptance of recovered calls: a declared tool, and complete arguments that fit its schema."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from dragoman.conversation.types import JsonObject
from dragoman.dialects.values.fit import fitted
from dragoman.dialects.values.typed import read_typed
from dragoman.json_schema.validation import validator
from dragoman.json_schema.view import STRING, SchemaView


class Call(NamedTuple):
    """A recovered call; `arguments` are JSON text."""

    name: str
    arguments: str


class Tools:
    """The declared tools, by name."""

    def __init__(self, schemas: Mapping[str, JsonObject]) -> None:
        self.schemas = schemas
        self.longest = max(map(len, schemas), default=0)
        self._views: dict[str, SchemaView] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.schemas

    def named(self, word: str) -> str:
        """The tool of this name, perhaps with a prefix that models write; "" for none."""
        if word in self.schemas:
            return word
        for prefix in ("functions.", "function.", "tools.", "tool."):
            if word.startswith(prefix) and (name := word.removeprefix(prefix)) in self.schemas:
                return name
        return ""

    def may_become(self, word: str) -> bool:
        """Whether the word is the beginning of a tool's name."""
        return len(word) < self.longest and any(name.startswith(word) for name in self.schemas)

    def schema(self, name: str) -> SchemaView:
        """The schema of a tool's arguments."""
        if name not in self._views:
            self._views[name] = SchemaView(self.schemas[name])
        return self._views[name]

    def typed(self, name: str, values: Mapping[str, str]) -> dict[str, Any] | None:
        """Values that were written as text, typed by their schemas; None if a name is not declared in the schema."""
        schema = self.schema(name)
        if schema.keys and not set(values) <= set(schema.keys):
            return None
        return {key: self.value(schema.member(key), written) for key, written in values.items()}

    @staticmethod
    def value(schema: SchemaView, written: str) -> Any:
        """A value that was written as text, typed by its schema."""
        kinds = schema.plain_kinds
        return written if kinds == STRING else json.loads(read_typed(written, kinds)[0])

    def accept(self, name: str, arguments: Mapping[str, Any]) -> Call | None:
        """The call, if these arguments fit the tool's schema, unchanged or repaired (CC-9); else None."""
        try:
            written = fitted(json.dumps(arguments, ensure_ascii=False, allow_nan=False), self.schema(name), [])
            value = json.loads(written)
        except (ValueError, RecursionError):
            return None
        checked = validator(self.schemas[name])
        is_fit = checked.is_valid(value) if checked is not None else self.schema(name).required <= value.keys()
        return Call(name, written) if is_fit else None
