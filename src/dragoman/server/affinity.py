"""Which conversation is this? A router in front of several engines should send it where its prompt is cached.

Clients name their conversations in several ways, and the most exact one counts. Only a digest of the name goes further: it may
tell who somebody is, and hold what no header takes.
"""

from hashlib import blake2b

from starlette.datastructures import Headers

_HEADERS = (("x-claude-code-session-id", "x-claude-code-agent-id"), ("x-session-id",))
"""Names that stand in headers, the more exact part behind: a sub-agent of a session has a prompt of its own."""
_SIZE = 8


def affinity(headers: Headers, **fields: object) -> str | None:
    """16 hex digits, the same for all requests of a conversation; None where the client does not name it.

    `fields` are those of the body that name a conversation, or a user at least, the most exact first.
    """
    for names in _HEADERS:
        if headers.get(names[0]):
            return _digest(*(f"{name}={headers.get(name, '')}" for name in names))
    return next((_digest(f"{name}={value}") for name, value in fields.items() if value and isinstance(value, str)), None)


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=_SIZE).hexdigest()
