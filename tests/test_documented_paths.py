"""Files and folders that the documentation names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")]
BASES = (ROOT, ROOT / "src" / "dragoman", ROOT / "docs")
_PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.(?:py|md|toml|jsonl|yaml))?)`")
_LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_files_and_linked_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [path for path in _PATH.findall(text) if "NAME" not in path and "SUBJECT" not in path]
    missing = [path for path in named if not any((base / path).exists() for base in BASES)]
    assert missing == []
    assert [link for link in _LINK.findall(text) if not (page.parent / link).exists()] == []
