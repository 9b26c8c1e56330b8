"""Chat templates: Jinja from strangers.

A template is a program that came with the weights. It runs in Jinja's immutable sandbox, with the few names that templates in
the wild expect, and nothing else: no loader, no Python object but the conversation's strings, numbers, lists and dictionaries.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

Messages = Sequence[dict[str, Any]]


class TemplateRefusal(Exception):
    """The template raised, by its own `raise_exception` or by tripping: it will not render this conversation."""


class ChatTemplate:
    """A compiled template. Raises `TemplateRefusal` where the source is no Jinja.

    It travels between processes as its source, which each process compiles once.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self.names = (bos_token, eos_token)
        try:
            self._template = _ENVIRONMENT.from_string(source)
        except Exception as error:  # Jinja's own, and Python's where the code that Jinja makes of it is none
            raise TemplateRefusal(f"the chat template does not compile: {error}") from error

    def __reduce__(self) -> tuple[Callable[..., "ChatTemplate"], tuple[str, str, str]]:
        return _compiled, (self.source, *self.names)

    def render(self, messages: Messages, *, generation_prompt: bool = True, **variables: Any) -> str:
        """The text of the prompt. `variables` are what this template understands: `tools`, `enable_thinking`, ..."""
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=generation_prompt,
                bos_token=self.names[0],
                eos_token=self.names[1],
                **variables,
            )
        except Exception as error:  # it is a stranger's program: it may fail in every way that a program can
            raise TemplateRefusal(str(error) or type(error).__name__) from error


@lru_cache(maxsize=8)
def _compiled(source: str, bos_token: str, eos_token: str) -> ChatTemplate:
    """The template of a renderer that came from another process. Raises `TemplateRefusal`."""
    return ChatTemplate(source, bos_token=bos_token, eos_token=eos_token)


class _GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks training targets; for a prompt it is transparent."""

    tags = {"generation"}  # noqa: RUF012 -- the type that Jinja declares

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as models were trained on: not escaped for HTML, keys in the order they came."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _identity(value: Any) -> Any:
    return value


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationBlocks]
    )
    filters: dict[str, Callable[..., Any]] = {
        "tojson": _tojson,
        "safe": _identity,  # Jinja's own would turn what follows into escaped HTML
    }
    environment.filters.update(filters)
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment


_ENVIRONMENT = _environment()
