"""Which URLs stand in a conversation: only those may be fetched, so that no data leaves in a URL that the model makes up."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import re2
from yarl import URL

_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_BEFORE: Final = r"(?:^|[^\pL\pN_.@%-])"
"""What stands before an address in a text, unless that is the end of a longer one."""
_AFTER: Final = r"/?(?:#|[.,;:!?]*(?:[\s\"'<>()\[\]{}|\\^`*]|$))"
"""What ends an address in a text: punctuation and white space, or a fragment."""


def is_known(url: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts contains the URL, whole. Its scheme, its fragment and a last slash do not matter.

    The time is linear in the length of the texts.
    """
    spellings = _spellings(url.encode(errors="replace").decode())
    if not spellings:
        return False
    pattern = re2.compile(f"{_BEFORE}(?:{'|'.join(map(_pattern, spellings))}){_AFTER}")
    return any(pattern.search(text.encode(errors="replace").decode()) for text in texts)


def _spellings(url: str) -> set[str]:
    """The address without its scheme and fragment, as it may be spelled in a text."""
    spellings = {url}
    with suppress(ValueError):
        spellings |= {str(URL(url)), URL(url).human_repr()}
    addresses = {_SCHEME.sub("", spelling, count=1).partition("#")[0].removesuffix("/") for spelling in spellings}
    return addresses - {""}


def _pattern(address: str) -> str:
    """A pattern of the address; the case of its host does not matter."""
    host, slash, path = address.partition("/")
    return f"(?i:{re2.escape(host)}){re2.escape(slash + path)}"
