"""Markers that are special tokens: with token ids, the token is the marker, and text that only spells it is text."""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dragoman import dialects
from dragoman.dialects import Dialect
from dragoman.dialects.markup import markup
from dragoman.dialects.special_markers import SpecialMarkers
from dragoman.special_tokens import candidates
from splits import random_chunks

from .reading import Reading, merge
from .test_cases import CASES

Chunk = tuple[str, list[int]]
ORDINARY = 0
QWEN3 = dialects.get("qwen3")
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def special_markers(dialect: Dialect) -> SpecialMarkers:
    """All markers of a dialect that look like special tokens, as if they were."""
    found = candidates(" ".join([*markup(dialect), *dialect.stop_strings.ends]), ())
    spellings = sorted(spelling for spelling in found if not re.search(r"[{}\]]", spelling[1:-1]))
    return SpecialMarkers(dialect, dict(enumerate(spellings, ORDINARY + 1)))


def tokenized(text: str, markers: SpecialMarkers, seed: int) -> Iterator[Chunk]:
    """The text as a model with these special tokens writes it, in random chunks of ordinary tokens."""
    longest_first = sorted(markers.spellings, key=len, reverse=True)
    ids = {spelling: token for token, spelling in markers.tokens.items()}
    pieces = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text) if ids else [text]
    for piece in filter(None, pieces):
        if piece in ids:
            yield piece, [ids[piece]]
        else:
            yield from ((chunk, [ORDINARY]) for chunk in random_chunks(piece, random.Random(seed), 5))


def read(dialect: Dialect, chunks: Iterator[Chunk] | list[Chunk], tools: Any, *, cut: bool = False, **start: bool) -> Reading:
    schemas = tools if isinstance(tools, Mapping) else {name: {"type": "object"} for name in tools}
    parser = dialect.parser(schemas, markers=special_markers(dialect), **{"thinking_open": False, **start})
    parts = [part for text, ids in chunks for part in parser.feed(text, ids)]
    return Reading(merge([*parts, *parser.finish(cut)]), parser.repairs)


def ends_in_half_a_marker(case: dict[str, Any]) -> bool:
    """Whether the output is cut in a marker: if that is a token, there are no halves of it."""
    markers = special_markers(dialects.get(case.get("dialect", "qwen3")))
    return any(case["raw"].endswith(spelling[:end]) for spelling in markers.spellings for end in range(2, len(spelling)))


@pytest.mark.clause("TOK-9")
@pytest.mark.parametrize("case", [case for case in CASES if not ends_in_half_a_marker(case.values[0])])
def test_special_tokens_are_read_as_their_spellings_are_without_ids(case: dict[str, Any]) -> None:
    dialect = dialects.get(case.get("dialect", "qwen3"))
    start = {"thinking_open": case.get("thinking_open", False), "calls_allowed": case.get("calls_allowed", True)}
    tools = case.get("schemas") or case.get("tools", ["add", "now"])
    for seed in range(3):
        chunks = tokenized(case["raw"], special_markers(dialect), seed)
        assert read(dialect, chunks, tools, cut=case.get("cut", False), **start) == Reading(
            case["parts"], case.get("repairs", [])
        )


@pytest.mark.clause("TOK-9")
@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"I would write {CALL} here.",
        "Close it with </think> and go on.",
        "<think>\nNot reasoning.\n</think>\n\nYes.",
        "The end is <|im_end|>",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_text_that_only_spells_a_marker_is_text(text: str, size: int) -> None:
    chunks = [(text[start : start + size], [ORDINARY]) for start in range(0, len(text), size)]
    assert read(QWEN3, chunks, ["add"]).parts == [{"text": text}]


def written(*pieces: str) -> list[Chunk]:
    """The pieces as chunks: a marker of Qwen3 as its token, everything else letter by letter in ordinary tokens."""
    ids = {spelling: token for token, spelling in special_markers(QWEN3).tokens.items()}
    letters = [[(piece, [ids[piece]])] if piece in ids else [(letter, [ORDINARY]) for letter in piece] for piece in pieces]
    return [chunk for chunks in letters for chunk in chunks]


@pytest.mark.clause("TOK-9")
def test_reasoning_that_spells_its_end_goes_on() -> None:
    chunks = written("<think>", "\nIt ends with </think", ">, I know.\n", "</think>", "\n\nYes.")
    assert read(QWEN3, chunks, ["add"]).parts == [{"thinking": "It ends with </think>, I know."}, {"text": "Yes."}]


@pytest.mark.clause("TOK-9")
def test_arguments_may_spell_the_end_of_their_call() -> None:
    chunks = written("<tool_call>", '\n{"name": "add", "arguments": {"a": "</tool_call>"}}\n', "</tool_call>")
    assert read(QWEN3, chunks, ["add"]).parts == [{"call": "add", "arguments": '{"a": "</tool_call>"}', "complete": True}]


def test_a_special_token_in_the_wrong_place_is_text_without_marks() -> None:
    call = '{"name": "unknown", "arguments": {}}'
    parts = read(QWEN3, written("<tool_call>", call, "</tool_call>"), ["add"]).parts
    assert parts == [{"text": f"<tool_call>{call}</tool_call>"}]


def test_text_that_the_server_adds_has_its_markers() -> None:
    parser = QWEN3.parser({}, thinking_open=True, markers=special_markers(QWEN3))
    parts = [*parser.feed("So", [ORDINARY]), *parser.feed("\n</think>\n\n"), *parser.feed("Yes.", [ORDINARY])]
    assert merge([*parts, *parser.finish(cut=False)]) == [{"thinking": "So"}, {"text": "Yes."}]


def test_the_text_of_a_token_may_come_with_the_next_chunk() -> None:
    [(opener, [token])] = written("<tool_call>")
    chunks = [("Yes", [ORDINARY, token]), (opener, [ORDINARY]), *written('{"name": "add", "arguments": {}}', "</tool_call>")]
    assert [list(part) for part in read(QWEN3, chunks, ["add"]).parts] == [["text"], ["call", "arguments", "complete"]]
