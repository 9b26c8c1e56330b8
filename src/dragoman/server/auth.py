"""The check of API keys, from either header (AUTH-1 to AUTH-4)."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers

from dragoman.errors import Unauthenticated
from dragoman.server.key_file import KeyEntry, read_keys
from dragoman.server.rate_limits import RateLimits

_MOST_GIVEN: Final = 4
"""Keys of a request that are compared: a client sends one in each header."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its limits. `name` is for the log and the metrics, empty if there is only one key or none."""

    secret: bytes = field(default=b"", repr=False)
    name: str = ""
    limits: RateLimits = field(default_factory=lambda: RateLimits({}))


_NO_KEY: Final = Key()


class Keyring:
    """The keys that a server accepts; without any it accepts every request."""

    def __init__(self, keys: Iterable[Key] = (), file: Path | None = None) -> None:
        self._keys: Sequence[Key] = tuple(keys)
        self.file = file

    @classmethod
    def single(cls, secret: str | None) -> "Keyring":
        """Return the keyring with one key without a name and limits; None: with no key."""
        return cls([] if secret is None else [Key(secret.encode())])

    @classmethod
    def read(cls, file: Path) -> "Keyring":
        """Return the keyring of a file. Raises `UnusableKeys`."""
        keyring = cls(file=file)
        keyring.load()
        return keyring

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._keys)

    def load(self) -> None:
        """Read the file again, if there is one; a key whose limits are unchanged keeps what is left of them.

        Raises `UnusableKeys`; then the keys before stay in use.
        """
        if self.file is None:
            return
        before = {key.name: key for key in self._keys}
        self._keys = tuple(_key(name, entry, before.get(name)) for name, entry in read_keys(self.file).items())

    def check(self, headers: Headers) -> Key:
        """Return the key of a request. Raises `Unauthenticated` if it has none of the accepted ones (AUTH-2).

        Each given key is compared with all keys, in a time that does not depend on how much of it is right.
        """
        if not self._keys:
            return _NO_KEY
        given = [key.encode("latin-1") for key in islice(_given(headers), _MOST_GIVEN)]
        if not given:
            raise Unauthenticated("x-api-key header is required")
        found = [key for secret in given for key in self._keys if secrets.compare_digest(secret, key.secret)]
        if not found:
            raise Unauthenticated("invalid x-api-key")
        return found[0]


def _key(name: str, entry: KeyEntry, before: Key | None) -> Key:
    kept = before is not None and before.limits.limits == entry.limits
    return Key(entry.key.encode(), name, before.limits if before and kept else RateLimits(entry.limits))


def _given(headers: Headers) -> Iterator[str]:
    """Yield the keys of a request: those of `x-api-key`, and the bearer tokens of `authorization`."""
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip()
