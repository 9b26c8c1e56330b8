"""A request and its answer, as a file that can be sent again: what `--capture` writes and `dragoman replay` reads.

Bodies are kept as they came, to the byte, but for the secrets in them; what was taken out is named in the file. Of the headers
of a request only those are kept that say what is asked and by which program, so that no key, no cookie and nothing of a proxy
between can slip in.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from msgspec import Struct

_KEPT = re.compile(
    r"accept|content-type|user-agent|anthropic-(version|beta|dangerous-direct-browser-access)|x-app|x-claude-code-.+|x-stainless-.+"
)
"""Headers of a request; all others go."""
_KEPT_QUERY = frozenset({"beta", "limit", "after_id", "before_id", "lifecycle", "lifecycle[]"})
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_SECRET_FIELD = re.compile(rf'("(?:user_id|authorization_token)"\s*:\s*)({_STRING})')
_OLD_USER = re.compile(r"user_(?P<device>[0-9a-f]+)_account_(?P<account>[0-9a-f-]*)_session_[0-9a-f-]+")
_SESSION = "session_id"
_PART = re.compile(rf'(?P<before>"(?P<name>\w+)"\s*:\s*)(?P<value>{_STRING}|[\d.]+)')


class BadCapture(ValueError):
    """A file that holds no exchange; the message names it."""


class Asked(Struct, frozen=True):
    """A request. `body` is its text, in `charset`; not `whole`: it was not read to its end, and cannot be sent again."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str
    charset: str = "utf-8"
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.body.encode(self.charset)


class Answered(Struct, frozen=True):
    """An answer: what was written, and when, in seconds since the request came in; a stream's writes hold whole events.

    `status` is 0 where there was none. `whole` is false where the client left before the end.
    """

    status: int
    headers: Mapping[str, str]
    body: tuple[tuple[float, str], ...]
    whole: bool = True

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return "".join(text for _, text in self.body).encode()


class Exchange(Struct, frozen=True):
    """One request and its answer. `began` is in ISO 8601; `removed` names headers and fields that are not what they were."""

    request_id: str
    began: str
    request: Asked
    response: Answered
    removed: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Names sort by time."""
        return f"{re.sub(r'[-:]', '', self.began)}-{self.request_id}.json"

    def write(self, folder: Path) -> None:
        """Write the file, all of it or none, for the eyes of its owner. Raises `OSError`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / self.file_name
        unfinished = path.with_suffix(".unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Exchange":
        """Raises `BadCapture`."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise BadCapture(f"{path}: {error}") from error


def kept_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """The headers of a request that a file may hold, and the names of the others. Names are in lower case."""
    kept: dict[str, str] = {}
    removed = []
    for name, value in headers:
        if _KEPT.fullmatch(name):
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
        else:
            removed.append(name)
    return kept, removed


def kept_target(path: str, query: str) -> str:
    """The path as it travels, and of the query what the API knows."""
    known = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name in _KEPT_QUERY]
    return f"{quote(path)}?{urlencode(known)}" if known else quote(path)


def without_secrets(body: str) -> tuple[str, list[str]]:
    """A body without what tells a device, an account or a server's token, and the names of the fields that changed.

    Of `metadata.user_id` the session stays, where it can be told from the rest. Each letter or digit that goes becomes a zero:
    lengths stay. What is no JSON loses every field of these names; of what is, text and arguments are left alone.
    """
    secrets = _secrets(body)
    removed: list[str] = []

    def masked(match: re.Match[str]) -> str:
        try:
            value = msgspec.json.decode(match[2])
        except msgspec.DecodeError:
            value = match[2][1:-1]
        if secrets is not None and value not in secrets:
            return match[0]
        field = match[1].split('"')[1]
        shown = _without_device(value) if field == "user_id" else _zeros(value)
        if shown == value:
            return match[0]
        removed.append("metadata.user_id" if field == "user_id" else "mcp_servers.authorization_token")
        return match[1] + msgspec.json.encode(shown).decode()

    return _SECRET_FIELD.sub(masked, body), sorted(set(removed))


class _Confidential(Struct):
    """The fields of a body that hold secrets; whatever else is in it is passed over unread."""

    metadata: Any = None
    mcp_servers: Any = None


def _secrets(body: str) -> set[str] | None:
    """The values that must go; None where the body cannot be read."""
    try:
        found = msgspec.json.decode(body, type=_Confidential)
    except (msgspec.DecodeError, RecursionError):
        return None
    return {value for value in _confidential(found) if isinstance(value, str)}


def _confidential(found: _Confidential) -> Iterator[object]:
    if isinstance(found.metadata, dict):
        yield found.metadata.get("user_id")
    for server in found.mcp_servers if isinstance(found.mcp_servers, list) else ():
        if isinstance(server, dict):
            yield server.get("authorization_token")


def _without_device(user: str) -> str:
    """Claude Code writes device, account and session into one string: as JSON, before that in one row. Others: who knows."""
    if _is_json_with_session(user):
        return _PART.sub(lambda part: part[0] if part["name"] == _SESSION else part["before"] + _zeros(part["value"]), user)
    if old := _OLD_USER.fullmatch(user):
        return f"user_{_zeros(old['device'])}_account_{_zeros(old['account'])}_{user[old.end('account') + 1 :]}"
    return _zeros(user)


def _is_json_with_session(user: str) -> bool:
    try:
        return _SESSION in msgspec.json.decode(user, type=dict[str, Any])
    except msgspec.DecodeError:
        return False


def _zeros(text: str) -> str:
    return re.sub(r"[^\W_]", "0", text)
