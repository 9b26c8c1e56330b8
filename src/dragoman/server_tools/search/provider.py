"""The interface of a search provider, and what is kept of the hits that it finds."""

import html
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yarl import URL

from dragoman.conversation import UserLocation
from dragoman.parts.server_tools import SearchHit

MOST_HITS: Final = 10
_MOST_URL: Final = 2_000
_MOST_TITLE: Final = 300
_MOST_TEXT: Final = 2_000
_MOST_AGE: Final = 60

_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_URL: Final = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for, with the domains and the location of the request."""

    words: str
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    location: UserLocation | None = None

    @property
    def with_sites(self) -> str:
        """The words, followed by the domains in the syntax that most search engines read."""
        allowed = " OR ".join(f"site:{domain}" for domain in self.allowed_domains)
        blocked = [f"-site:{domain}" for domain in self.blocked_domains]
        return " ".join([self.words, *([f"({allowed})" if " OR " in allowed else allowed] if allowed else []), *blocked])


class SearchFailed(Exception):
    """A search that failed: `code` is an error code of the API, the message says for the log why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # both, as it may be raised in a worker process
        self.code = code
        self.message = message


class SearchProvider(ABC):
    """Finds pages. `longest_query` is the number of characters of the longest query that it takes."""

    longest_query: int = 1_000

    @abstractmethod
    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits, the best first. Raises `SearchFailed`; cancelling stops the search."""


def hits_of(entries: Any, text: str = "text", age: str = "age") -> Sequence[SearchHit]:
    """The hits in a decoded list of objects with `url`, `title` and these fields; entries of another form are left out."""
    if not isinstance(entries, list):
        raise SearchFailed("unavailable", "the provider's answer has no list of results")
    found = (hit_of(entry, text, age) for entry in entries if isinstance(entry, dict))
    return [hit for hit in found if hit]


def hit_of(entry: dict[str, Any], text: str, age: str) -> SearchHit | None:
    """The hit in an object, in plain text and cut to usual lengths; None without the URL of a web page."""
    url = entry.get("url")
    if not isinstance(url, str) or len(url) > _MOST_URL or not _is_page(url):
        return None
    title = plain(entry.get("title"), _MOST_TITLE)
    return SearchHit(url, title or url, plain(entry.get(text), _MOST_TEXT), plain(entry.get(age), _MOST_AGE))


def _is_page(url: str) -> bool:
    """Whether a text is the URL of a web page."""
    try:
        return bool(_URL.fullmatch(url) and URL(url).host)
    except ValueError:
        return False


def plain(value: Any, most: int) -> str:
    """A value as text of at most this many characters, without HTML and in one line; empty unless it is a string."""
    if not isinstance(value, str):
        return ""
    words = html.unescape(_TAG.sub("", value[: 4 * most]))
    printable = "".join(character if character.isprintable() else " " for character in words)
    text = " ".join(printable.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def joined(texts: Iterable[Any]) -> str:
    """Several texts in one; values that are not strings are left out."""
    return " … ".join(text for text in texts if isinstance(text, str))
