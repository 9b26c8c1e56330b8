"""The check of API keys, from either header (AUTH-1 to AUTH-4)."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request

from dragoman.errors import Unauthenticated
from dragoman.observability import Record
from dragoman.server.access.key_file import KeyEntry, read_keys
from dragoman.server.access.rate_limits import Levels, RateLimits

KEY: Final = "key"
"""The key of a request's `Key` in the state of its scope."""
_MOST_GIVEN: Final = 4
"""Keys of a request that are compared: a client sends one in each header."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its limits. `name` is for the log and the metrics, empty if there is only one key or none.

    `inspects_all`: the page shows its holder the requests of all keys, not only those of this one.
    """

    secret: bytes = field(default=b"", repr=False)
    name: str = ""
    limits: RateLimits = field(default_factory=lambda: RateLimits({}))
    inspects_all: bool = True


_NO_KEY: Final = Key()


class Keyring:
    """The keys that a server accepts; without any it accepts every request. What is left of their limits is in `levels`."""

    def __init__(self, keys: Iterable[Key] = (), file: Path | None = None, levels: Levels | None = None) -> None:
        self._keys: Sequence[Key] = tuple(keys)
        self.file = file
        self._levels = levels or Levels()

    @classmethod
    def single(cls, secret: str | None) -> "Keyring":
        """Return the keyring with one key without a name and limits; None: with no key."""
        return cls([] if secret is None else [Key(secret.encode())])

    @classmethod
    def read(cls, file: Path, levels: Levels | None = None) -> "Keyring":
        """Return the keyring of a file. Raises `UnusableFile`."""
        keyring = cls(file=file, levels=levels)
        keyring.load()
        return keyring

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._keys)

    def load(self) -> None:
        """Read the file again, if there is one; a key whose limits are unchanged keeps what is left of them.

        Raises `UnusableFile`; then the keys before stay in use.
        """
        if self.file is None:
            return
        before = {key.name: key for key in self._keys}
        self._keys = tuple(self._key(name, entry, before.get(name)) for name, entry in read_keys(self.file).items())

    def _key(self, name: str, entry: KeyEntry, before: Key | None) -> Key:
        kept = before is not None and before.limits.limits == entry.limits
        limits = before.limits if before and kept else RateLimits(entry.limits, levels=self._levels, owner=name)
        return Key(entry.key.encode(), name, limits, entry.inspects_all)

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


def _given(headers: Headers) -> Iterator[str]:
    """Yield the keys of a request: those of `x-api-key`, and the bearer tokens of `authorization`."""
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip()


def owner_of(request: Request) -> str:
    """Return the name of the key of a request: requests with another key do not find what it keeps."""
    record: Record = request.state.record
    return record.key
