"""The code base and its documentation are written in the usual words of LLM serving, HTTP and Python."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "docs", "bench", "scripts", "examples")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")

BANNED = {
    r"houses?\b": "the code base",
    r"rooms\b": "packages",
    r"doors?\b": "the API format, or the endpoint",
    r"told\b": "reported, logged or sent",
    r"whoever\b": "the client, the caller",
    r"nobody\b": "no client, no caller",
    r"everybody\b": "every client",
    r"lest\b": "so that not",
    r"seams?\b": "the boundary",
    r"theat(?:re|er)s?\b": "the shared server",
    r"(?<!there )(?:is|are) no\b(?! longer)": "is not a",
    r"behind\b(?!\s+(?:an? |the |your )?(?:ordinary |reverse )?(?:prox|load\s+balancer|router|gateway))": "after",
    r"strangers?\b": "a third party",
    r"epitaph\b": "the exit summary",
}
"""Words and constructions that are not used here, each with what to write. They begin at the beginning of a word."""

_PATTERN = re.compile(rf"\b(?:{'|'.join(BANNED)})", re.IGNORECASE)
_DATA = {"corpus.py", "test_words.py"}


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that people read, and its text. Test data in JSON Lines are left out."""
    files = [*(ROOT / page for page in PAGES), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))]
    for path in files:
        is_script = path.parent.name == "scripts" and not path.suffix
        if path.is_file() and path.name not in _DATA and (path.suffix in (".py", ".md") or is_script):
            yield path, path.read_text(encoding="utf-8")


def test_no_banned_word_is_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}"
        for path, text in texts()
        for match in _PATTERN.finditer(text)
    ]
    assert found == [], "see BANNED for what to write"


def test_each_banned_pattern_is_found() -> None:
    for words in ("the house", "a door", "it is no error", "what is behind it", "nobody", "It told so"):
        assert _PATTERN.search(words), words
    for words in ("behind a reverse proxy", "it is no longer so", "indoors"):
        assert not _PATTERN.search(words), words
