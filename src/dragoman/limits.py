"""Upper limits on the contents of a request; real clients stay far below, and an operator can change them (`--limit NAME=N`).

Each limit is checked before any work on the counted items, and the error message names it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from dragoman.errors import InvalidRequest
from dragoman.json_schema.references import Schema
from dragoman.json_schema.size import counted, unfold


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits, as counts; those from `schema_nodes` on apply to each schema.

    `attachment_seconds` is how long reading the attachments of a request may take, `pdf_pages` how many pages its PDFs have.

    `schema_depth` is the nesting of objects and arrays as written, `schema_unfolded` with references followed, where schemas
    that refer to each other in a cycle count with their sum.
    `schema_least` is the largest lower bound of a length (`minItems` and the like).
    """

    messages: int = 100_000
    blocks: int = 200_000
    attachments: int = 2_000
    attachment_bytes: int = 32_000_000
    attachment_seconds: int = 300
    pdf_pages: int = 600
    tools: int = 4_000
    choices: int = 1_000
    stop_sequences: int = 10_000
    stop_characters: int = 100_000
    tool_references: int = 1_000
    unknown_fields: int = 10_000
    schema_nodes: int = 10_000
    schema_depth: int = 100
    schema_unfolded: int = 400
    schema_properties: int = 5_000
    schema_enum: int = 20_000
    schema_alternatives: int = 1_000
    schema_references: int = 5_000
    schema_named_references: int = 200
    reference_characters: int = 500_000
    schema_least: int = 10_000
    pattern_characters: int = 20_000

    def check(self, name: str, count: float, path: str) -> None:
        """Raise `InvalidRequest` at `path` if `count` exceeds the limit of this name."""
        if excess := self._excess(name, count):
            raise InvalidRequest.at(path, excess)

    def check_stops(self, sequences: Sequence[str], path: str) -> None:
        """Raise `InvalidRequest` at `path` if there are too many stop sequences, or their total length is too large."""
        self.check("stop_sequences", len(sequences), path)
        self.check("stop_characters", sum(map(len, sequences)), path)

    def schema_excess(self, schema: Schema) -> str | None:
        """Return a sentence about the first limit that a schema exceeds; None if it exceeds none."""
        size = counted(schema, self.schema_nodes)
        counts = (
            ("schema_nodes", size.nodes),
            ("schema_depth", size.depth),
            ("schema_properties", size.properties),
            ("schema_enum", size.enum),
            ("schema_alternatives", max(size.alternatives, size.conjunctions)),
            ("schema_references", size.references),
            ("schema_named_references", size.named),
            ("reference_characters", size.reference_characters),
            ("schema_least", size.least),
            ("pattern_characters", size.patterns),
        )
        if excess := next(filter(None, (self._excess(name, count) for name, count in counts)), None):
            return excess
        unfold(schema, size)
        return self._excess("schema_unfolded", size.unfolded)

    def _excess(self, name: str, count: float) -> str | None:
        limit: int = getattr(self, name)
        return f"{count:,} is more than this server accepts: the limit is {limit:,} ({name})" if count > limit else None

    def changed(self, settings: Iterable[tuple[str, int]]) -> "Limits":
        """Return a copy with some limits changed. Raises `ValueError` for a name that is not a limit."""
        chosen = dict(settings)
        unknown = chosen.keys() - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(
                f"{', '.join(sorted(unknown))}: not a limit; the limits are {', '.join(f.name for f in fields(self))}"
            )
        return replace(self, **chosen)


DEFAULT: Final = Limits()
