"""Chat templates: Jinja from strangers.

A template is a program that came with the weights. It runs in a sandbox (`sandbox`) with the few names that templates in the
wild expect, and nothing else: no loader, no Python object but the conversation's strings, numbers, lists and dictionaries.
What it may spend is limited (`meter`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import thread_time
from typing import Any, Final

from dragoman.prompt.meter import metered
from dragoman.prompt.sandbox import Sandbox

_SOURCE: Final = 200_000
_REASON: Final = 1000
"""Characters of a template, and of what it says on refusing."""
INSPECTION_SECONDS: Final = 10.0
"""Processor time of all that is rendered to find out what a template can do."""

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
        self._allowance: float | None = None
        try:
            if len(source) > _SOURCE:
                raise TemplateRefusal(f"it is longer than {_SOURCE:,} characters")
            with metered():
                self._template = _ENVIRONMENT.from_string(source)
        except Exception as error:  # Jinja's own, and Python's where the code that Jinja makes of it is none
            raise TemplateRefusal(f"the chat template does not compile: {str(error)[:_REASON]}") from error

    def __reduce__(self) -> tuple[Callable[..., "ChatTemplate"], tuple[str, str, str]]:
        return _compiled, (self.source, *self.names)

    @contextmanager
    def inspected(self) -> Iterator[None]:
        """Limit the time of all renderings inside together. Raises `TemplateRefusal` at the end where they took longer."""
        self._allowance = INSPECTION_SECONDS
        try:
            yield
        finally:
            spent, self._allowance = self._allowance <= 0, None
            if spent:
                raise TemplateRefusal(f"the chat template takes more than {INSPECTION_SECONDS:g} seconds to be looked at")

    def render(self, messages: Messages, *, generation_prompt: bool = True, **variables: Any) -> str:
        """The text of the prompt. `variables` are what this template understands: `tools`, `enable_thinking`, ..."""
        if self._allowance is not None and self._allowance <= 0:
            raise TemplateRefusal("the time for looking at the chat template is over")
        began = thread_time()
        try:
            with metered():
                return self._template.render(
                    messages=messages,
                    add_generation_prompt=generation_prompt,
                    bos_token=self.names[0],
                    eos_token=self.names[1],
                    **variables,
                )
        except Exception as error:  # it is a stranger's program: it may fail in every way that a program can
            raise TemplateRefusal(str(error)[:_REASON] or type(error).__name__) from error
        finally:
            if self._allowance is not None:
                self._allowance -= thread_time() - began


@lru_cache(maxsize=8)
def _compiled(source: str, bos_token: str, eos_token: str) -> ChatTemplate:
    """The template of a renderer that came from another process. Raises `TemplateRefusal`."""
    return ChatTemplate(source, bos_token=bos_token, eos_token=eos_token)


_ENVIRONMENT = Sandbox()
