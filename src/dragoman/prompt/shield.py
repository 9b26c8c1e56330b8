"""What a client writes is text, also where it spells a control token: a file about chat templates must not end a turn.

The shield breaks such spellings up before dialect and template see them, with a mark that is taken out again when the text is
tokenized (`tokens`), there as plain text.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import msgspec

from dragoman.conversation import Conversation

_MARKS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Noncharacters: code points that Unicode keeps out of all text, for inner use like this."""


def shield(conversation: Conversation, borders: Sequence[str]) -> tuple[Conversation, str]:
    """The conversation with every spelling of a border broken up, and the mark that does it; "" where there was none."""
    encoded = msgspec.json.encode(conversation).decode()
    spelled = [border for border in borders if border in encoded]
    if not spelled:
        return conversation, ""
    mark = next(mark for mark in _MARKS if mark not in encoded)
    broken = {border: border[0] + mark + border[1:] for border in spelled}
    covered: Conversation = _cover(conversation, broken)
    return covered, mark


def _cover(value: Any, broken: dict[str, str]) -> Any:
    match value:
        case Enum():
            return value
        case str():
            for border, replacement in broken.items():
                value = value.replace(border, replacement)
            return value
        case dict():
            return {_cover(key, broken): _cover(inner, broken) for key, inner in value.items()}
        case list() | tuple():
            return [_cover(inner, broken) for inner in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: _cover(getattr(value, field.name), broken) for field in fields(value)})
        case _:
            return value
