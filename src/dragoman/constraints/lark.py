"""Lowers a constraint to a grammar in llguidance's dialect of Lark, and compiles it in this process before an engine gets it.

llama.cpp silently ignores a grammar that does not compile. So each is compiled here first, by the same version of the library
that is inside llama.cpp. A JSON schema that does not compile is relaxed step by step, independently of the others:

    0  unchanged
    1  without keywords that the library does not know, patterns and formats
    2  without bounds, too
    3  any JSON of the right type

Many schemas may each compile and still be too large together, because of bounds on the lengths of arrays above all: each is
then limited to its share of what the library allows. Relaxed schemas are logged; calls are validated after decoding anyway.

Special tokens have no spelling in a grammar: free text cannot contain them; where a literal spells one, its id is written.
Where other text does (`forced_text`), the grammar must not force tokens.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from llguidance import LLMatcher, LLParserLimits

from dragoman.constraints.patterns import readable
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until, nodes
from dragoman.json_schema.references import Schema, rewritten
from dragoman.special_tokens import Segments

_HEADER: Final = "%llguidance {}\n"
_UNFORCED: Final = '%llguidance {"no_forcing": true}\n'
_FORM: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "coerce_one_of": True}
LAST_STEP: Final = 3
_REMEMBERED: Final = 2_000
_SIZE: Final = 500_000
"""Symbols that the library allows in one grammar, here as in llama.cpp."""
_CROWD: Final = 50_000
_LENGTH: Final = re.compile(r'"(?:min|max)(?:Items|Properties)": ([0-9]{1,12})')
_PATTERNS: Final = frozenset({"pattern", "format", "patternProperties", "propertyNames"})
_BOUNDS: Final = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"multipleOf", "minProperties", "maxProperties", "uniqueItems", "contains", "minContains", "maxContains"}
)


class Uncompilable(Exception):
    """Raised where not even the loosest form compiles. The message is the library's."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The text of a grammar, and a description of each schema that was relaxed to make it compile."""

    text: str
    relaxed: Sequence[str] = ()


def literals(constraint: Constraint) -> set[str]:
    """Every text in the tree that may spell special tokens."""
    found: set[str] = set()
    for node in nodes(constraint):
        match node:
            case Literal(text):
                found.add(text)
            case Until(ends):
                found.update(ends)
    return found


def compiled(constraint: Constraint, segments: Mapping[str, Segments], *, forces: bool = True) -> Grammar:
    """A grammar that compiles. `segments` has every literal that spells special tokens. Raises `Uncompilable`.

    `forces`: text that is required is tokenized at once, else the model chooses its tokens.
    """
    schemas = [json.dumps(node.schema) for node in nodes(constraint) if isinstance(node, Json)]
    share = _SIZE // max(len(schemas), 1)
    crowded = sum(int(bound) for schema in schemas for bound in _LENGTH.findall(schema)) > _CROWD
    error = ""
    for least_step, size in ((0, share if crowded else _SIZE), (0, share), (2, share), (LAST_STEP, _SIZE)):
        grammar = _Writer(segments, least_step, size, _HEADER if forces else _UNFORCED).grammar(constraint)
        error = LLMatcher.validate_grammar(grammar.text)
        if not error:
            return grammar
    raise Uncompilable(error)


class _Writer:
    """Writes one grammar. A node that occurs in several places becomes one rule.

    Schemas are relaxed to step `least_step` at least, and until each has no more than `size` symbols.
    """

    def __init__(self, segments: Mapping[str, Segments], least_step: int, size: int, header: str) -> None:
        self._segments = segments
        self._header = header
        self._least_step = least_step
        self._size = size
        self._lines: list[str] = []
        self._rules: dict[int, str] = {}
        self._terminals: dict[str, str] = {}
        self._relaxed: list[str] = []

    def grammar(self, constraint: Constraint) -> Grammar:
        start = self._expression(constraint.root)
        for name, node in constraint.rules.items():
            self._lines.append(f"{name}: {self._expression(node)}")
        return Grammar(self._header + "\n".join([f"start: {start}", *self._lines]) + "\n", self._relaxed)

    def _expression(self, node: Node) -> str:
        match node:
            case Literal(text):
                return self._literal(text)
            case Text(without, beginning):
                return self._text(without, beginning)
            case Until(ends, patterns):
                return _any_of([self._until(end, patterns) for end in self._grouped(ends)])
            case Pattern(regex):
                return self._terminal(_regex(regex))
            case Json(schema):
                return self._rule(node, lambda: "%json " + self._schema(schema))
            case Series(nodes):
                return self._rule(node, lambda: " ".join(map(self._expression, nodes)) or '""')
            case Choice(nodes):
                return self._rule(node, lambda: " | ".join(map(self._expression, nodes)))
            case Repeat(inner, least, most):
                return f"({self._expression(inner)}){{{least},{'' if most is None else most}}}"
            case Ref(name):
                return name

    def _rule(self, node: Node, body: Callable[[], str]) -> str:
        if id(node) not in self._rules:
            name = self._rules[id(node)] = f"n{len(self._rules)}"
            self._lines.append(f"{name}: {body()}")
        return self._rules[id(node)]

    def _terminal(self, body: str, options: str = "") -> str:
        """The name of a terminal, or with options of a rule around one."""
        if body not in self._terminals:
            name = f"t{len(self._terminals)}" if options else f"T{len(self._terminals)}"
            self._terminals[body] = name
            self._lines.append(f"{name}{options}: {body}")
        return self._terminals[body]

    def _literal(self, text: str) -> str:
        written = [_token(segment) if isinstance(segment, int) else _string(segment) for segment in self._split(text)]
        return " ".join(written) or '""'

    def _split(self, text: str) -> Segments:
        return self._segments.get(text, (text,) if text else ())

    def _text(self, without: Iterable[str], beginning: str = "") -> str:
        barred = [_string(text) for text in without if all(isinstance(segment, str) for segment in self._split(text))]
        body = f"{_ANY} & ~({_ANY} ({' | '.join(barred)}) {_ANY})" if barred else _ANY
        if beginning:
            body += f" & ~(/\\s*/ {_string(beginning.strip())} {_ANY})"
        return self._terminal(body)

    def _grouped(self, ends: Sequence[str]) -> list[list[Segments]]:
        """The ends that are plain text in one group, those with a special token in a group each."""
        split = [self._split(end) for end in ends]
        plain = [parts for parts in split if all(isinstance(segment, str) for segment in parts)]
        return [*([plain] if plain else []), *([parts] for parts in split if parts not in plain)]

    def _until(self, ends: list[Segments], patterns: Sequence[str]) -> str:
        matching = _ANY if self._least_step or not patterns else " & ".join(_regex(pattern) for pattern in patterns)
        token = next((index for index, segment in enumerate(ends[0]) if isinstance(segment, int)), None)
        if token is None:
            texts = " | ".join(_string("".join(map(str, parts))) for parts in ends)
            return self._terminal(f"({matching}) ({texts})", "[lazy]")
        rest = [_token(segment) if isinstance(segment, int) else _string(segment) for segment in ends[0][token:]]
        return " ".join([self._terminal(matching), *rest])

    def _schema(self, schema: Mapping[str, Any]) -> str:
        text, step = _strictest(json.dumps(schema, ensure_ascii=False), self._least_step, self._size)
        if step:
            self._relaxed.append(f"{_STEPS[step]}: {json.dumps(schema, ensure_ascii=False)[:80]}")
        return text


_ANY: Final = "/(?s:.*)/"
_STEPS: Final = ("", "patterns", "bounds", "everything but the type")
"""The parts of a schema that each step removes."""


@lru_cache(maxsize=_REMEMBERED)
def _strictest(schema: str, least_step: int, size: int) -> tuple[str, int]:
    """The strictest form of a schema that compiles, from step `least_step` on, and its step."""
    limits = LLParserLimits(max_grammar_size=size)
    for step in range(least_step, LAST_STEP):
        form = _form(schema, step)
        if not LLMatcher.validate_grammar(f"{_HEADER}start: %json {form}", limits=limits):
            return form, step
    return _form(schema, LAST_STEP), LAST_STEP


def _form(schema: str, step: int) -> str:
    """A relaxed schema as JSON, with the library's options."""
    form: dict[str, Any] = dict(_FORM)
    if step:
        form["lenient"] = True
    return json.dumps({"x-guidance": form, **readable(relaxed(json.loads(schema), step))}, ensure_ascii=False)


def relaxed(schema: Schema, step: int) -> Schema:
    """A schema relaxed to a step from 0 to `LAST_STEP`."""
    if step == LAST_STEP:
        return {"type": schema["type"]} if isinstance(schema.get("type"), str) else {}
    return _without(schema, _PATTERNS | (_BOUNDS if step > 1 else frozenset())) if step else schema


def _without(schema: Any, words: frozenset[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    return rewritten(
        {word: value for word, value in schema.items() if word not in words}, lambda _, inner: _without(inner, words)
    )


def _any_of(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"({' | '.join(expressions)})"


def _token(identifier: int) -> str:
    return f"<[{identifier}]>"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _regex(pattern: str) -> str:
    return "/" + re.sub(r"(?<!\\)/", r"\\/", pattern).replace("\n", r"\n") + "/"
