"""The held text is bounded, and so is the work on it."""

import pytest

from dragoman import dialects
from dragoman.dialects.recovery import run, source, tags
from dragoman.parts import CallEnd, Text

SCHEMAS = {"add": {"type": "object", "properties": {"a": {"type": "integer"}, "t": {"type": "string"}}}}

HOSTILE = {
    "brackets": "\n[" * 8000,
    "an open string": '{"name": "add", "arguments": {"t": "' + "x y " * 20000,
    "openers": "<tool_call>" * 4000,
    "openers with words": '<function_calls>\n<invoke name="add"><parameter name="t">a < b ' * 500,
    "pairs": "<tool_call>add<arg_key>t</arg_key><arg_value>x" * 500,
    "closers": '<invoke name="add"><parameter name="t">' + "</parameter> x " * 3000,
    "fences": '```json\n{"name": "add", "arguments": {}}\n```\nx\n' * 1000,
    "lists": "\n[add(a=1), " * 2000,
    "doubled braces": '{{"name": "add", ' * 2000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("dialect", ["hermes", "glm-4.7", "minimax-m2"])
def test_characters_are_read_a_bounded_number_of_times(text: str, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    class Counted(source.Source):
        def __init__(self, text: str, *, final: bool, cut: bool = False) -> None:
            nonlocal read
            read += len(text)
            super().__init__(text, final=final, cut=cut)

    monkeypatch.setattr(run, "Source", Counted)
    parser = dialects.get(dialect).parser(SCHEMAS, thinking_open=False)
    parts = [part for start in range(0, len(text), 512) for part in parser.feed(text[start : start + 512])]
    parts += parser.finish(cut=False)

    assert read < 64 * len(text) + 8 * run.MAX_HELD
    assert tags.MAX_TAG < run.MAX_HELD
    assert any(isinstance(part, Text | CallEnd) for part in parts)


def test_text_is_not_held_if_no_call_can_begin() -> None:
    parser = dialects.get("hermes").parser(SCHEMAS, thinking_open=False)

    assert parser.feed("One word") == [Text("One word")]
    assert parser.feed(" and 3 < 4, [x](y)") == [Text(" and 3 < 4, [x](y)")]
    assert parser.feed("\n```python\nadd(1)") != []


def test_more_than_the_longest_run_is_text() -> None:
    parser = dialects.get("hermes").parser(SCHEMAS, thinking_open=False)
    text = '{"name": "add", "arguments": {"t": "' + "x" * run.MAX_HELD + '"}}'

    assert "".join(part.text for part in parser.feed(text) + parser.finish(cut=False) if isinstance(part, Text)) == text
