"""The filters and globals of chat templates: those that known templates use, and the other common ones of Jinja.

Left out on purpose: `attr`, `lipsum`, `cycler` and `joiner`, which give access to objects; `urlize`, `striptags`, `xmlattr`,
`wordwrap`, `pprint`, `filesizeformat` and `random`, which no prompt needs.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, Final, NoReturn

from jinja2 import TemplateError
from jinja2.filters import FILTERS as JINJA
from jinja2.utils import Namespace

from dragoman.prompt import meter

_ALLOWED: Final = (
    "abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape",
    "format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "replace", "reverse", "round", "select", "selectattr", "slice", "sort", "string", "sum", "title", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip
_WIDE: Final = frozenset(("batch", "center", "indent", "round", "slice"))
"""Filters whose integer arguments are widths."""
_SHORT: Final = 16
"""Characters of an indentation or a separator in JSON."""

_PERCENT: Final = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|\d*)(?:\.(\*|\d*))?")


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its input and output counted."""
    place = 1 if hasattr(filter_, "jinja_pass_arg") else 0

    @wraps(filter_)  # which also copies Jinja's attribute for filters that get the context
    def counted(*args: Any, **kwargs: Any) -> Any:
        value = args[place] if len(args) > place else None
        if isinstance(value, Iterator):
            value = meter.texts(value) if name == "join" else iter(meter.Counted(value))
            args = (*args[:place], value, *args[place + 1 :])
        _check(name, value, args[place + 1 :], kwargs)
        made = filter_(*args, **kwargs)
        if isinstance(made, str):
            meter.text(len(made))
        return made

    return counted


def _check(name: str, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Count the largest result of the filter before it runs. Raises `Exceeded`."""
    given = (*args, *kwargs.values())
    meter.step(1 + (len(value) // 64 if isinstance(value, str | list | tuple | dict) else 0))
    if name in _WIDE:
        for wanted in given:
            meter.width(wanted)
    if name == "indent" and isinstance(value, str):
        widths = [wanted if isinstance(wanted, int) else len(wanted) for wanted in given if isinstance(wanted, int | str)]
        meter.text(len(value) + (value.count("\n") + 1) * max(widths, default=4))
    elif name == "replace" and isinstance(value, str):
        words = [words for words in given if isinstance(words, str)]
        if len(words) > 1:
            meter.text(len(value) + value.count(words[0]) * len(words[1]))
    elif name == "join":
        between = next((words for words in given if isinstance(words, str)), "")
        parts = value if isinstance(value, list | tuple) else ()
        meter.text(len(between) * len(parts) + sum(len(part) for part in parts if isinstance(part, str)))
    elif name == "format" and isinstance(value, str):
        check_percent(value, given)


def check_percent(form: str, values: Sequence[Any]) -> None:
    """Count the largest result of a `%` format with these values. Raises `Exceeded`."""
    meter.filled(form, "%", values)
    for found in _PERCENT.finditer(form):
        for digits in filter(None, found.groups()):
            meter.width(meter.WIDTH + 1 if digits == "*" else int(digits[:9]))


_plain_json: Final = json.JSONEncoder(ensure_ascii=False).encode
"""As `json.dumps`, which makes an encoder for each call."""


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as models were trained on: not escaped for HTML, in the original key order."""
    if not ensure_ascii and indent is None and separators is None and not sort_keys:
        return _plain_json(value)
    meter.width(indent, _SHORT)
    for separator in separators or (indent,):
        meter.width(len(separator) if isinstance(separator, str) else 0, _SHORT)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    meter.width(len(form))
    return datetime.now().astimezone().strftime(form)


def _identity(value: Any) -> Any:
    return value


def _dict(*args: Any, **kwargs: Any) -> Any:
    return meter.built(dict(*args, **kwargs))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    **{name: _bounded(name, JINJA[name]) for name in _ALLOWED},
    "tojson": _bounded("tojson", _tojson),
    "safe": _identity,  # Jinja's `safe` would make Jinja escape the text after it as HTML
}
GLOBALS: Final[dict[str, Any]] = {
    "namespace": Namespace,
    "dict": _dict,
    "raise_exception": _raise_exception,
    "strftime_now": _strftime_now,
}
