"""The check of the API key, from either header (AUTH-1 to AUTH-4)."""

import secrets
from collections.abc import Iterator

from starlette.datastructures import Headers

from dragoman.errors import Unauthenticated


def check_key(headers: Headers, expected: str | None) -> None:
    """Raise `Unauthenticated` unless one of the request's keys is `expected` (AUTH-2); None accepts any key, or none."""
    if expected is None:
        return
    given = list(_given(headers))
    if not given:
        raise Unauthenticated("x-api-key header is required")
    if not any(secrets.compare_digest(key.encode("latin-1"), expected.encode()) for key in given):
        raise Unauthenticated("invalid x-api-key")


def _given(headers: Headers) -> Iterator[str]:
    """Yield the keys of a request: those of `x-api-key`, and the bearer tokens of `authorization`."""
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip()
