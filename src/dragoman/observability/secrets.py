"""Removes secrets from text that is given to others, by their spelling: keys of well-known services, tokens, private keys.

Secrets of no known form cannot be found. What is removed becomes a note without quotes, so that JSON stays JSON. Each pattern
begins with a fixed text, for which a search is ten times as fast; what is before a match is checked afterwards. The time is
proportional to the length of the text.
"""

import re
from typing import Final, NamedTuple

_AFTER_NO_WORD: Final = re.compile(r"(?:^|\W)$|\\[nrt]$")
"""Before a key. An escaped line break in JSON ends in a letter."""
_AFTER_NAME: Final = re.compile(
    r"(?i)(?:password|passwd|secret|api_?key|access_?key|auth_?token|private_?key)[a-z0-9_]{0,16}$",
)
_ANYWHERE: Final = re.compile("")
_LONGEST_BEFORE: Final = 40
"""Characters before a match that are checked."""


class _Kind(NamedTuple):
    """A kind of secret: `before` matches what precedes it; the first `kept` characters of a match stay."""

    name: str
    pattern: re.Pattern[str]
    before: re.Pattern[str] = _AFTER_NO_WORD
    kept: int = 0


_API_KEYS: Final = (
    r"sk-[\w-]{16,}",
    r"sk_(?:live|test)_\w{16,}",
    r"rk_(?:live|test)_\w{16,}",
    r"gsk_\w{20,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"AIza[\w-]{30,}",
    r"xai-\w{20,}",
    r"tvly-[\w-]{16,}",
    r"BSA[\w-]{20,}",
)
_TOKENS: Final = (
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[\w-]{30,}",
    r"xox[abeprs]-[\w-]{10,}",
    r"dop_v1_[0-9a-f]{32,}",
)
_KINDS: Final = (
    _Kind(
        "private key",
        re.compile(r'-----BEGIN (?:[A-Z]{1,10} ){0,3}PRIVATE KEY-----(?:(?!-----)[^"])*(?:-----END [A-Z ]{1,40}-----)?'),
        _ANYWHERE,
    ),
    *(_Kind("API key", re.compile(pattern)) for pattern in _API_KEYS),
    *(_Kind("access token", re.compile(pattern)) for pattern in _TOKENS),
    *(_Kind("AWS key", re.compile(rf"{prefix}[A-Z0-9]{{16}}(?![A-Z0-9])")) for prefix in ("AKIA", "ASIA")),
    _Kind("JSON web token", re.compile(r"eyJ[\w-]{8,300}+\.eyJ[\w-]{8,4000}+\.[\w-]{8,}")),
    _Kind("bearer token", re.compile(r"earer [\w.~+/-]{16,}=*"), re.compile(r"[Bb]$"), len("earer ")),
    _Kind("password", re.compile(r'://[^\s/:@"\\]{1,64}:[^\s/@"\\]{1,128}(?=@)'), _ANYWHERE, len("://")),
    _Kind("password", re.compile(r"=[^\s\"'\\&;<>$({]{4,256}"), _AFTER_NAME, len("=")),
)


def without_secrets(text: str) -> tuple[str, int]:
    """Return the text with notes in the place of secrets, and how many it had."""
    count = 0
    for kind in _KINDS:
        text, found = _without(kind, text)
        count += found
    return text, count


def _without(kind: _Kind, text: str) -> tuple[str, int]:
    pieces: list[str] = []
    end = 0
    for match in kind.pattern.finditer(text):
        start = match.start()
        if kind.before.search(text[max(start - _LONGEST_BEFORE, 0) : start]):
            pieces += [text[end : start + kind.kept], f"[removed: {kind.name}]"]
            end = match.end()
    return ("".join([*pieces, text[end:]]), len(pieces) // 2) if pieces else (text, 0)
