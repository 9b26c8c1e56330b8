"""The environment in which chat templates run: Jinja with what templates in the wild use, every growth of it metered.

Beyond Jinja's immutable sandbox: only filters, globals and methods of strings, lists and dictionaries that a template may need;
subscripts reach items and never attributes; nothing is computed while compiling; loops, calls, texts and numbers are counted.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import Formatter
from types import BuiltinMethodType
from typing import Any, Final

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from dragoman.prompt import meter
from dragoman.prompt.sandbox_filters import FILTERS, GLOBALS, check_percent

_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset((
        "capitalize", "casefold", "center", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
        "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split",
        "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
    )),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    LoopContext: frozenset((
        "changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex",
        "revindex0",
    )),
}  # fmt: skip
_PADDED: Final = frozenset(("center", "ljust", "rjust", "zfill"))
_NUMBERS: Final = re.compile(r"\d+")


class _Generator(CodeGenerator):
    """Writes joins of texts, and lists, tuples and dictionaries as calls of the environment."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.texts((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._built(node, frame, node.items, super().visit_List)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._built(node, frame, [part for pair in node.items for part in (pair.key, pair.value)], super().visit_Dict)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._built(node, frame, node.items, super().visit_Tuple)
        else:
            super().visit_Tuple(node, frame)

    def _built(self, node: Any, frame: Frame, parts: Sequence[nodes.Expr], visit: Callable[[Any, Frame], None]) -> None:
        plain = all(isinstance(part, nodes.Const) for part in parts)
        self.write("" if plain else "environment.built(")
        visit(node, frame)
        self.write("" if plain else ")")


class _Formatter(Formatter):
    """`str.format` with items and no attributes, and with widths in bounds."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if "." in field_name or "[" in field_name:
            raise SecurityError("a format may name no parts of its values")
        found: tuple[Any, str] = super().get_field(field_name, args, kwargs)
        return found

    def format_field(self, value: Any, format_spec: str) -> str:
        for digits in _NUMBERS.findall(format_spec):
            meter.width(int(digits[:9]))
        made: str = super().format_field(value, format_spec)
        meter.text(len(made))
        return made


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles templates whose rendering is metered; both have to run inside `meter.metered()`."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            extensions=["jinja2.ext.loopcontrols", GenerationBlocks],
        )
        self.filters = {**FILTERS, _LOOP: meter.Counted}
        own_range = self.globals["range"]
        self.globals.clear()
        self.globals.update(GLOBALS, range=own_range)
        self.built = meter.built

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _LOOP, [], [], None, None, lineno=loop.lineno)
        return tree

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """All that a template, a macro or a block writes."""
        kept, length = [], 0
        for part in parts:
            length += len(part)
            if length > meter.TEXT:
                meter.text(length)
            kept.append(part)
        meter.text(length)
        return "".join(kept)

    @staticmethod
    def texts(parts: Sequence[Any]) -> str:
        """What `~` joins."""
        return Sandbox.concat(map(str, parts))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operators by which values grow."""
        if operator == "+":
            if isinstance(left, str) and isinstance(right, str):
                meter.text(len(left) + len(right))
            elif isinstance(left, list) and isinstance(right, list):
                return meter.joined_lists(left, right)
            made = left + right
            return meter.number(made) if isinstance(made, int) else meter.built(made) if isinstance(made, tuple) else made
        if operator == "*":
            return _product(left, right)
        if operator == "**":
            if isinstance(left, int) and isinstance(right, int):
                meter.width(right, meter.BITS)
                meter.width(left.bit_length() * right, meter.BITS)
            return left**right
        if isinstance(left, str):
            values = right.values() if isinstance(right, dict) else right if isinstance(right, tuple) else [right]
            check_percent(left, [*values])
            made = left % right
            meter.text(len(made))
            return made
        return left % right

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have this attribute: methods by which nothing changes or is reached."""
        if isinstance(obj, Namespace):  # what is in it the template put there
            return not attr.startswith("_")
        return any(isinstance(obj, kind) and attr in names for kind, names in _METHODS.items())

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, and never an attribute, which `attribute=` of filters would reach."""
        if isinstance(obj, LoopContext | Namespace):
            return super().getitem(obj, argument)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """A function in place of `str.format`."""
        if not isinstance(value, BuiltinMethodType) or value.__name__ != "format" or not isinstance(value.__self__, str):
            return None
        form = value.__self__

        def formatted(*args: Any, **kwargs: Any) -> str:
            meter.filled(form, "{", [*args, *kwargs.values()])
            return Sandbox.concat([_Formatter().vformat(form, args, kwargs)])

        return formatted

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 -- as Jinja has it
        """A call of a macro, a global or a method."""
        meter.step(8)
        if isinstance(__obj, LoopContext):  # a recursive loop
            args = (meter.Counted(args[0]), *args[1:]) if args else args
        elif isinstance(__obj, BuiltinMethodType) and isinstance(__obj.__self__, str):
            if __obj.__name__ == "join" and args:
                args = (meter.texts(args[0]), *args[1:])
            _check_method(__obj.__self__, __obj.__name__, args)
        return super().call(__context, __obj, *args, **kwargs)


_LOOP: Final = "counted loop"


def _product(left: Any, right: Any) -> Any:
    value, times = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(value, int) and isinstance(times, int):
        meter.width(value.bit_length() + times.bit_length(), meter.BITS)
    elif isinstance(times, int) and isinstance(value, str | list | tuple):
        meter.text(len(value) * max(times, 0))
        made = value * times
        return made if isinstance(value, str) else meter.built(made)
    return left * right


def _check_method(own: str, name: str, args: Sequence[Any]) -> None:
    """Count what a method of a string may make, before it does. Raises `Exceeded`."""
    if name in _PADDED and args:
        meter.width(args[0])
    elif name == "replace" and len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
        meter.text(len(own) + own.count(args[0]) * len(args[1]))
    elif name == "join" and args and isinstance(args[0], list | tuple):
        meter.text(len(own) * len(args[0]) + sum(len(part) for part in args[0] if isinstance(part, str)))
    else:
        meter.text(len(own))


class GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks training targets; for a prompt it is transparent."""

    tags = {"generation"}  # noqa: RUF012 -- the type that Jinja declares

    def parse(self, parser: Parser) -> nodes.Node:
        """The block as a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)
