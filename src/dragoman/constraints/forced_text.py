r"""The text that a grammar may require of a model without a choice, where it can spell a special token.

llguidance tokenizes such text, and llama.cpp lets it do so with special tokens: where a value of a schema spells one, the model
is given that token, which the grammar does not allow; llama.cpp then drops the grammar, silently. So a grammar with such a text
must not force tokens. A text that is required is contiguous: what a pattern leaves open is never tokenized with it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from dragoman.constraints.tree import Constraint, Json, Literal, Pattern, Until, nodes

_WORD: Final = re.compile(r"[^<>\[\]\s]{1,62}")
"""What may stand between brackets that another part of the grammar writes."""
_CODE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|[xu]\{([0-9a-fA-F]{1,6})\})")
_SYNTAX: Final = re.compile(r"\(\?:|\{1\}|[\\()\[\]]")
"""What a regular expression may have in the middle of a text that it requires."""


def forced_texts(constraint: Constraint) -> set[str]:
    """Every such text, beside others: literals whose own special tokens are written by their ids are not among them."""
    found: set[str] = set()
    for node in nodes(constraint):
        match node:
            case Literal(text) if _WORD.fullmatch(text):
                found.add(f"<{text}></{text}>[{text}][/{text}]")
            case Pattern(regex):
                found.add(_required(regex))
            case Until(_, patterns):
                found.update(map(_required, patterns))
            case Json(schema):
                found.update(_strings(schema))
            case _:
                pass
    return found


def _strings(value: Any) -> Iterator[str]:
    """The strings of a schema; each as it is, and as a pattern."""
    match value:
        case str():
            yield value
            yield _required(value)
        case dict():
            for name, inner in value.items():
                yield name
                yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)
        case _:
            pass


def _required(regex: str) -> str:
    """The characters that a regular expression requires one by one."""
    return _SYNTAX.sub("", _CODE.sub(lambda code: chr(min(int(code[1] or code[2] or code[3], 16), 0x10FFFF)), regex))
