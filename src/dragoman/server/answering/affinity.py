"""The affinity key of a conversation, by which a router in front of several engines finds the one that cached its prompt.

Clients identify their conversations in several ways, and the most specific one is used. Only a digest of the identifier is
passed on, since it may identify a person and contain characters that a header cannot carry.
"""

from hashlib import blake2b

from starlette.datastructures import Headers

_HEADERS = (("x-claude-code-session-id", "x-claude-code-agent-id"), ("x-session-id",))
"""Headers that identify a conversation, the most specific last: a sub-agent of a session has its own prompt."""
_SIZE = 8


def affinity(headers: Headers, **fields: object) -> str | None:
    """Return 16 hex digits, equal for all requests of a conversation; None if the client does not identify it.

    `fields` are the body fields that identify a conversation, or at least a user, the most specific first.
    """
    for names in _HEADERS:
        if headers.get(names[0]):
            return _digest(*(f"{name}={headers.get(name, '')}" for name in names))
    return next((_digest(f"{name}={value}") for name, value in fields.items() if value and isinstance(value, str)), None)


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=_SIZE).hexdigest()
