"""Stop sequences: the scanner finds the same as an oracle that sees the whole text."""

from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.generation.stops import Scanned, StopScanner
from splits import same_at_every_split

_LETTERS = "ab "
_SEQUENCES = st.lists(st.text(_LETTERS, min_size=1, max_size=4), min_size=1, max_size=4)


def oracle(text: str, sequences: Sequence[str]) -> Scanned:
    """Return the sequence that is complete first, the longest of several; all text before it is visible."""
    for end in range(len(text) + 1):
        ending_here = [sequence for sequence in sequences if text[:end].endswith(sequence)]
        if ending_here:
            longest = max(ending_here, key=len)
            return Scanned(text[: end - len(longest)], longest)
    return Scanned(text)


def scan(chunks: Sequence[str], sequences: Sequence[str]) -> Scanned:
    """Feed the chunks until a sequence matches; text that was held back comes at the end."""
    scanner = StopScanner(sequences)
    visible = ""
    for chunk in chunks:
        scanned = scanner.feed(chunk)
        visible += scanned.visible
        if scanned.matched is not None:
            return Scanned(visible, scanned.matched)
    return Scanned(visible + scanner.flush())


@pytest.mark.clause("SEQ-1", "SEQ-2")
@given(st.text(_LETTERS, max_size=24), _SEQUENCES)
@example("aab", ["aab", "ab", "b"])
@example("abab a", ["aba", "bab "])
def test_the_first_complete_sequence_is_found_at_every_split(text: str, sequences: list[str]) -> None:
    assert same_at_every_split(lambda chunks: scan(chunks, sequences), text) == oracle(text, sequences)


@pytest.mark.clause("SEQ-2")
@given(st.text(_LETTERS, max_size=24), _SEQUENCES)
def test_only_a_possible_start_of_a_sequence_is_held_back(text: str, sequences: list[str]) -> None:
    scanner = StopScanner(sequences)
    for end, letter in enumerate(text, 1):
        if scanner.feed(letter).matched is not None:
            return
        tails = [text[begin:end] for begin in range(end + 1)]
        longest = max((tail for tail in tails if any(sequence.startswith(tail) for sequence in sequences)), key=len)
        held = scanner.flush()
        assert held == longest
        assert scanner.feed(held) == Scanned("", None)


@pytest.mark.clause("SEQ-1")
@pytest.mark.parametrize(
    ("text", "sequences", "found"),
    [
        ("one END two", ["END"], Scanned("one ", "END")),
        ("END", ["END"], Scanned("", "END")),
        ("one EN", ["END"], Scanned("one EN")),
        ("one ENEND", ["END"], Scanned("one EN", "END")),
        ("abc", ["abc", "b"], Scanned("a", "b")),
        ("xabc", ["bc", "abc", "c"], Scanned("x", "abc")),
        ("a\n\nHuman: b", ["\n\nHuman:"], Scanned("a", "\n\nHuman:")),
        ("🦊🦊!", ["🦊!"], Scanned("🦊", "🦊!")),
        ("aaab", ["aab"], Scanned("a", "aab")),
        ("end", ["END"], Scanned("end")),
    ],
)
def test_a_sequence_is_removed_with_all_that_follows(text: str, sequences: list[str], found: Scanned) -> None:
    assert same_at_every_split(lambda chunks: scan(chunks, sequences), text) == found


def test_a_flush_resets_the_scanner() -> None:
    scanner = StopScanner(["END"])
    assert scanner.feed("EN") == Scanned("")
    assert scanner.flush() == "EN"
    assert scanner.feed("D") == Scanned("D")


@pytest.mark.clause("SEQ-1", "SEQ-2")
@given(st.text("ab", max_size=40), st.lists(st.text("ab", min_size=1, max_size=12), min_size=1, max_size=40))
@example(
    "abaababaabaab", ["abaababaabaabb", "baababaabab", "aabaabb"]
)  # suffixes that are prefixes of other sequences, in a chain
def test_many_sequences_with_common_prefixes_are_distinguished(text: str, sequences: list[str]) -> None:
    assert same_at_every_split(lambda chunks: scan(chunks, sequences), text) == oracle(text, sequences)


@pytest.mark.parametrize(
    "sequences",
    [
        [f"stop {number}!" for number in range(20_000)],
        ["x" * 2_000 + str(number) for number in range(2_000)],
        ["x" * 1_000_000 + "!"],
    ],
    ids=["many", "many of one beginning", "one of a million characters"],
)
def test_the_work_per_character_does_not_depend_on_the_sequences(sequences: list[str]) -> None:
    start = process_time()
    scanner = StopScanner(sequences)
    chunks = ["stop 12 ", "xxxxxxxx", " words and more words "] * 2_000
    visible = "".join(scanner.feed(chunk).visible for chunk in chunks) + scanner.flush()
    assert visible == "".join(chunks)
    assert process_time() - start < 5  # comparing each sequence with each chunk takes minutes
