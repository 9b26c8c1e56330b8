"""Chat templates: untrusted Jinja programs.

A template comes with the weights of a model. It runs in a sandbox (`sandbox`) that has only the names that known templates
use: no loader, and no Python objects except the strings, numbers, lists and dictionaries of the conversation. Its time and
memory are limited (`meter`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import thread_time
from typing import Any, Final

from jinja2 import Template

from dragoman.prompt.meter import metered
from dragoman.prompt.sandbox import Sandbox

_SOURCE: Final = 200_000
_REASON: Final = 1000
"""Characters of the reason in a refusal."""
INSPECTION_SECONDS: Final = 10.0
"""CPU seconds of all renderings of one inspection."""

Messages = Sequence[dict[str, Any]]


class TemplateRefusal(Exception):
    """The template failed to render a conversation: it called `raise_exception`, or raised another error."""


class ChatTemplate:
    """A compiled template. Raises `TemplateRefusal` if the source does not compile.

    It is pickled as its source, which each process compiles once.
    """

    def __init__(self, source: str, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self.names = (bos_token, eos_token)
        self._allowance: float | None = None
        try:
            if len(source) > _SOURCE:
                raise TemplateRefusal(f"it is longer than {_SOURCE:,} characters")
            self._template = _compiled(source)
        except Exception as error:  # Jinja's errors, and Python's if Jinja generates invalid code
            raise TemplateRefusal(f"the chat template does not compile: {str(error)[:_REASON]}") from error

    def __reduce__(self) -> tuple[Callable[..., "ChatTemplate"], tuple[str, str, str]]:
        return ChatTemplate, (self.source, *self.names)

    @contextmanager
    def inspected(self) -> Iterator[None]:
        """Limit the total time of the renderings in the context. Raises `TemplateRefusal` at the end if they took longer."""
        self._allowance = INSPECTION_SECONDS
        try:
            yield
        finally:
            spent, self._allowance = self._allowance <= 0, None
            if spent:
                raise TemplateRefusal(f"the chat template takes more than {INSPECTION_SECONDS:g} seconds to inspect")

    def render(self, messages: Messages, *, generation_prompt: bool = True, **variables: Any) -> str:
        """The text of the prompt. `variables` are further template variables: `tools`, `enable_thinking`, ..."""
        if self._allowance is not None and self._allowance <= 0:
            raise TemplateRefusal("the time for inspecting the chat template is over")
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
        except Exception as error:  # untrusted code can raise anything
            raise TemplateRefusal(str(error)[:_REASON] or type(error).__name__) from error
        finally:
            if self._allowance is not None:
                self._allowance -= thread_time() - began


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    """The compiled source. Raises Jinja's errors, and Python's."""
    with metered():
        return _ENVIRONMENT.from_string(source)


_ENVIRONMENT = Sandbox()
