"""Text about calls stays text: documentation, code, quotations; the tools in it are declared."""

import random
import re
from pathlib import Path

import pytest

from dialects.reading import read
from dragoman import dialects
from splits import random_chunks

from .test_foreign_notations import EACH, SCHEMAS, TURNS, written

ROOT = Path(__file__).parents[3]
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", *sorted(ROOT.glob("tests/dialects/**/*.py"))]
NAMED = re.compile(r"""["'<=(]([A-Za-z_][\w.\-]{1,40})["'>( {]""")

PROSE = "That is how it is written."
QUOTATIONS = {
    "a code span": "Write `{call}` to call. " + PROSE,
    "a fence": "It looks like this:\n\n```\n{call}\n```\n\n" + PROSE,
    "a fence of XML": "It looks like this:\n\n```xml\n{call}\n```\n\n" + PROSE,
    "a fence of JSON": "It looks like this:\n\n```json\n{call}\n```\n" + PROSE,
    "a fence in a list": "- one:\n\n  ```\n  {call}\n  ```\n\n- two\n\n" + PROSE,
    "code spans in a list": "- `{call}`\n- `{call}`\n\n" + PROSE,
}
READERS = 12
"""The number of dialects in which each quotation is read; the writer's name seeds their choice."""
EVERYDAY_FORMS = ("a code span", "a fence")


def described(writer: dialects.Dialect, form: str) -> str:
    return "\n\n".join(form.replace("{call}", written(writer, turn)) for turn in TURNS)


@EACH
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, id=name, marks=[] if name in EVERYDAY_FORMS else [pytest.mark.slow])
        for name, form in QUOTATIONS.items()
    ],
)
def test_quoted_calls_of_any_family_are_text_in_any_other(writer: dialects.Dialect, form: str) -> None:
    text = described(writer, form)
    if "`{call}`" in form:  # a code span is in one line
        text = form.replace("{call}", written(writer, TURNS[3]).replace("\n", " ").replace("`", ""))
    choose = random.Random(writer.name)
    for reader in choose.sample(list(dialects.BY_NAME.values()), READERS):
        if is_own_fence(reader) or (reader.frame and writer.frame):
            continue
        for pieces in ([text], random_chunks(text, choose)):
            assert not any("call" in part for part in read(reader, pieces, SCHEMAS).parts), (reader.name, text)


def is_own_fence(reader: dialects.Dialect) -> bool:
    """Whether the dialect has its own calls in fences: xLAM, Gemma 3 and Command R+."""
    return reader.name in ("xlam", "gemma3", "command-r-plus")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[] if number % 8 == 0 else [pytest.mark.slow])
        for number, page in enumerate(PAGES)
    ],
)
def test_our_own_pages_and_tests_are_text(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    text = (content if page.suffix == ".md" else f"```python\n{content}\n```") + "\n\nThat was the file.\n"
    tools = {name: {"type": "object"} for name in NAMED.findall(text)}
    choose = random.Random(page.name)
    for name in ("hermes", "deepseek-v3.2", "llama3-json", "jamba"):
        for pieces in ([text], random_chunks(text, choose)):
            calls = [part for part in read(dialects.get(name), pieces, tools).parts if "call" in part]
            assert calls == [], (name, calls[:2])
