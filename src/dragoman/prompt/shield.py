"""What a client writes is text, also where it spells a control token: a file about chat templates must not end a turn.

The shield breaks such spellings up before dialect and template see them, with a mark that is taken out again when the text is
tokenized (`tokens`), there as plain text.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import msgspec

from dragoman.conversation import Conversation

_MARK = "\ufdd0"
"""A noncharacter: a code point that Unicode keeps out of all text, for inner use like this."""


def shield(conversation: Conversation, spelled: Sequence[str]) -> tuple[Conversation, str]:
    """The conversation with every spelling of a control token broken up, and the mark that does it; "" where there is none."""
    if not spelled:
        return conversation, ""
    encoded = msgspec.json.encode(conversation).decode()
    mark = _MARK * (max(map(len, re.findall(f"{_MARK}+", encoded)), default=0) + 1)  # longer than any that is there
    broken = {spelling: spelling[0] + mark + spelling[1:] for spelling in spelled}
    covered: Conversation = _cover(conversation, broken)
    return covered, mark


def _cover(value: Any, broken: dict[str, str]) -> Any:
    match value:
        case Enum():
            return value
        case str():
            for spelling, replacement in broken.items():
                value = value.replace(spelling, replacement)
            return value
        case dict():
            return {_cover(key, broken): _cover(inner, broken) for key, inner in value.items()}
        case list() | tuple():
            return [_cover(inner, broken) for inner in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: _cover(getattr(value, field.name), broken) for field in fields(value)})
        case _:
            return value
