"""Checks whether an engine would allow a text under the constraint that it was sent, for every form of constraints.

Lark is checked by llguidance. Structural tags are read here: the texts are short, so every place where a part of a tag could
end is tried. Another test compares the results with xgrammar, where that is installed.
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import llguidance
from tokenizers import Tokenizer

from constraints.gbnf_reader import allows

Passes = Callable[[str], bool]


def passes(held: str, folder: Path) -> Passes:
    """A check of texts. `held` is the constraint as a fake engine received it, "" for none, which allows any text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    try:
        found: Any = json.loads(held)
    except ValueError:
        found = {"grammar": held} if held else ""
    match found:
        case "":
            return lambda _text: True
        case {"grammar": str(grammar)} if grammar.startswith("root ::= "):
            return partial(allows, grammar)
        case {"grammar": str(grammar)}:
            return partial(_by_lark, grammar, tokenizer)
        case {"structural_tag": str(tag)}:
            return partial(by_tag, json.loads(tag)["format"], tokenizer)
        case {"type": "structural_tag", "format": tag}:
            return partial(by_tag, tag, tokenizer)
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return partial(_by_schema, schema)
    raise AssertionError(f"not a form of a constraint: {held}")


def _by_lark(grammar: str, tokenizer: Tokenizer, text: str) -> bool:
    """Check by llguidance; spellings of special tokens are read as those tokens."""
    reader = llguidance.LLMatcher(llguidance.LLTokenizer(tokenizer.to_str()), grammar)
    assert not reader.get_error()
    tokens = tokenizer.encode(text).ids
    return bool(reader.try_consume_tokens(tokens) == len(tokens) and reader.is_accepting())


def _by_schema(schema: Any, text: str) -> bool:
    try:
        return jsonschema_rs.validator_for(schema).is_valid(json.loads(text))
    except ValueError:
        return False


def by_tag(tag: Any, tokenizer: Tokenizer, text: str) -> bool:
    """Whether the format of a structural tag allows the text."""
    return len(text) in _ends(tag, text, 0, tokenizer)


def _ends(tag: Any, text: str, at: int, tokenizer: Tokenizer) -> set[int]:
    """The places where this part of a tag can end, if it begins at `at`."""
    inside = partial(_ends, text=text, tokenizer=tokenizer)
    match tag:
        case {"type": "const_string", "value": value}:
            return _literally(value, text, at)
        case {"type": "token", "token": token}:
            return _literally(tokenizer.id_to_token(token), text, at)
        case {"type": "any_text", **more}:
            barred: Any = more.get("excludes", ())
            return {end for end in range(at, len(text) + 1) if not any(word in text[at:end] for word in barred)}
        case {"type": "regex", "pattern": pattern}:
            return {end for end in range(at, len(text) + 1) if re.fullmatch(pattern, text[at:end])}
        case {"type": "json_schema", "json_schema": schema}:
            return _json(schema, text, at)
        case {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": closers}:
            found = min(((text.find(closer, at), closer) for closer in closers if closer in text[at:]), default=None)
            return set() if found is None else {found[0] + len(found[1])}
        case {"type": "sequence", "elements": elements}:
            places = {at}
            for element in elements:
                places = _all(inside(element, at=place) for place in places)
            return places
        case {"type": "or", "elements": elements}:
            return _all(inside(element, at=at) for element in elements)
        case {"type": "optional", "content": content}:
            return {at} | inside(content, at=at)
        case {"type": "repeat", "min": least, "max": most, "content": content}:
            return _repeated(partial(inside, content), at, least, len(text) if most < 0 else most)
    raise AssertionError(f"not a part of a tag: {tag}")


def _all(places: Iterable[set[int]]) -> set[int]:
    return set().union(*places)


def _literally(value: str, text: str, at: int) -> set[int]:
    return {at + len(value)} if text.startswith(value, at) else set()


def _json(schema: Any, text: str, at: int) -> set[int]:
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        return set()
    return {end} if jsonschema_rs.validator_for(schema).is_valid(value) else set()


def _repeated(ends: Callable[..., set[int]], at: int, least: int, most: int) -> set[int]:
    places, found = {at}, {at} if least == 0 else set()
    for times in range(1, most + 1):
        places = _all(ends(at=place) for place in places) - found
        if not places:
            break
        found |= places if times >= least else set()
    return found
