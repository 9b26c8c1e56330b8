"""Escaped lone surrogates, which clients write when they cut text inside an emoji."""

import pytest

from dragoman.api.anthropic.request import MessagesRequest
from dragoman.api.base import parse
from dragoman.errors import InvalidRequest


def read(escaped: str) -> str:
    """The text that this JSON string is parsed as."""
    body = '{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "' + escaped + '"}]}'
    content = parse(MessagesRequest, body.encode()).messages[0].content
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud83c", "a\ufffd"),
        (r"\ud83cb", "\ufffdb"),
        (r"\udf89", "\ufffd"),
        (r"\ud83c\ud83c\udf89\udf89", "\ufffd🎉\ufffd"),
        (r"\udf89\ud83c", "\ufffd\ufffd"),
        (r"\\\ud83c", "\\\ufffd"),
        (r"\\ud83c \ud83c", "\\ud83c \ufffd"),
        (r"\ud83c\n", "\ufffd\n"),
        (r"\uD83C\uDF89 \uDBFF", "🎉 \ufffd"),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character(escaped: str, text: str) -> None:
    assert read(escaped) == text


def test_a_body_that_is_not_json_for_another_reason_is_still_refused() -> None:
    for escaped in (r"\uzzzz", r"\ud83", '"'):
        with pytest.raises(InvalidRequest, match="not valid JSON"):
            read(escaped)


def test_many_backslashes_before_a_lone_surrogate_are_read_in_linear_time() -> None:
    assert read("\\\\" * 100_000 + r"\ud83c") == "\\" * 100_000 + "\ufffd"
