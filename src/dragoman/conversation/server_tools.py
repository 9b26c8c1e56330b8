"""The tools that a request lets the server run, with their options."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_DOMAIN: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?(/[^\s*]*\*?[^\s*]*)?", re.IGNORECASE)


def is_domain(text: str) -> bool:
    """Whether a text is a domain, with a path or without, as requests list them: no scheme, and `*` in the path only."""
    return _DOMAIN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class UserLocation:
    """Where the user is, approximately; empty for what is not known. `country` has two letters, `timezone` an IANA name."""

    city: str = ""
    region: str = ""
    country: str = ""
    timezone: str = ""

    @classmethod
    def of(cls, place: object) -> "UserLocation | None":
        """The location with those of these fields that `place` has; None if it has none."""
        known = {name: value for name in cls.__slots__ if (value := getattr(place, name, None))}
        return cls(**known) if known else None


@dataclass(frozen=True, slots=True)
class WebSearch:
    """A web search. Hits are from `allowed_domains` only, if there are any, and never from `blocked_domains`.

    `max_uses` is how often one answer may search; None for no limit. With `cites`, answers cite the hits.
    """

    max_uses: int | None = None
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    location: UserLocation | None = None
    cites: bool = False


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Of which tools the results count: all but those in `names`, or with `only` those alone."""

    names: frozenset[str] = frozenset()
    only: bool = False

    def passes(self, name: str) -> bool:
        """Whether the results of a tool count."""
        return (name in self.names) is self.only


@dataclass(frozen=True, slots=True)
class WebFetch:
    """Fetching of web pages, by the rules for domains and uses that a search has.

    `max_tokens` is how much of a page the model reads, None: a default. URLs that stand in messages of the user may be fetched
    if `from_user`, those in results if `from_results` passes their tools. With `cites`, answers cite the pages.
    """

    max_uses: int | None = None
    max_tokens: int | None = None
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    from_user: bool = True
    from_results: ResultFilter = ResultFilter()
    cites: bool = False


@dataclass(frozen=True, slots=True)
class ToolSearch:
    """A search for deferred tools; `name` says how it searches.

    `found` are the names of the tools in the results that the conversation has, by the ids of the calls.
    """

    name: str
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class McpToolset:
    """The tools of an MCP server. `path` is the place of the server in the request.

    The token is sent as a bearer token, and `headers` as they are. A tool is used if `enabled` says so by its name, else if
    `enabled_by_default`; likewise it is deferred. `listed` are tools that the request lists itself: then the server is not
    asked for them.
    """

    server: str
    url: str
    path: str
    token: str | None = field(default=None, repr=False)
    enabled: Mapping[str, bool] = field(default_factory=dict)
    enabled_by_default: bool = True
    deferred: Mapping[str, bool] = field(default_factory=dict)
    deferred_by_default: bool = False
    listed: Sequence[tuple[str, str, Mapping[str, Any]]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


DeclaredServerTool = WebSearch | WebFetch | ToolSearch | McpToolset
"""A tool of the server in a request."""
