"""The Jinja environment of chat templates, which counts everything that can repeat or grow.

Beyond Jinja's immutable sandbox: only filters, globals and methods of strings, lists and dictionaries that templates need;
subscripts access items and never attributes; no constant folding while compiling; loops, calls, texts and numbers are counted.
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
_OF_DICTIONARIES: Final = frozenset(dir(dict))
"""All attributes of a dictionary; any other name is that of an item."""
_PADDED: Final = frozenset(("center", "ljust", "rjust", "zfill"))
_NUMBERS: Final = re.compile(r"\d+")


class _Generator(CodeGenerator):
    """Generates calls of the environment for concatenations, lists, tuples and dictionaries."""

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
    """`str.format` without access to attributes or items of its values, and with limited widths."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if "." in field_name or "[" in field_name:
            raise SecurityError("a format must not access parts of its values")
        found: tuple[Any, str] = super().get_field(field_name, args, kwargs)
        return found

    def format_field(self, value: Any, format_spec: str) -> str:
        for digits in _NUMBERS.findall(format_spec):
            meter.width(int(digits[:9]))
        made: str = super().format_field(value, format_spec)
        meter.text(len(made))
        return made


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and renders templates with a meter; both have to run inside `meter.metered()`."""

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
        """The joined output of a template, a macro or a block."""
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
        """The concatenation by the operator `~`."""
        return Sandbox.concat(map(str, parts))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator that can make large values."""
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
        """Whether a template may use this attribute: only methods that change nothing and reach no other objects."""
        if isinstance(obj, Namespace):  # it has only what the template put there
            return not attr.startswith("_")
        if type(obj) in _METHODS:
            return attr in _METHODS[type(obj)]
        return any(isinstance(obj, kind) and attr in names for kind, names in _METHODS.items())

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute that a template may use, or else an item; those of a dictionary are looked up without an exception."""
        if type(obj) is dict and attribute not in _OF_DICTIONARIES:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, and never an attribute, which the `attribute=` argument of filters would access."""
        if isinstance(obj, LoopContext | Namespace):
            return super().getitem(obj, argument)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """A metered replacement for `str.format`."""
        if not isinstance(value, BuiltinMethodType) or value.__name__ != "format" or not isinstance(value.__self__, str):
            return None
        form = value.__self__

        def formatted(*args: Any, **kwargs: Any) -> str:
            meter.filled(form, "{", [*args, *kwargs.values()])
            return Sandbox.concat([_Formatter().vformat(form, args, kwargs)])

        return formatted

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 -- as Jinja has it
        """Call a macro, a global or a method."""
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
    """Count the largest result of a string method before it runs. Raises `Exceeded`."""
    if name in _PADDED and args:
        meter.width(args[0])
    elif name == "replace" and len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
        meter.text(len(own) + own.count(args[0]) * len(args[1]))
    elif name == "join" and args and isinstance(args[0], list | tuple):
        meter.text(len(own) * len(args[0]) + sum(len(part) for part in args[0] if isinstance(part, str)))
    else:
        meter.text(len(own))


class GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks training targets; it has no effect on a prompt."""

    tags = {"generation"}  # noqa: RUF012 -- the type that Jinja declares

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse the block as a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)
