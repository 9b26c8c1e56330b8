"""The key, from either header (contract §2)."""

import secrets

from starlette.datastructures import Headers

from dragoman.errors import Unauthenticated


def check_key(headers: Headers, expected: str | None) -> None:
    """Raise `Unauthenticated` unless the request carries the key. Without an expected one, any or none will do (AUTH-4)."""
    if expected is None:
        return
    given = _given(headers)
    if given is None:
        raise Unauthenticated("x-api-key header is required")
    if not secrets.compare_digest(given.encode("latin-1"), expected.encode()):
        raise Unauthenticated("invalid x-api-key")


def _given(headers: Headers) -> str | None:
    """Where both headers come, `x-api-key` is the one that counts (AUTH-2)."""
    key = headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
