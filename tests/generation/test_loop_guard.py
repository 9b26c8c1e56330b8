"""Repetition, and text that only resembles it."""

import pytest

from dragoman.generation.loop_guard import Repetition


def fed(text: str, chunk: int = 5) -> Repetition:
    repetition = Repetition()
    for start in range(0, len(text), chunk):
        repetition.feed(text[start : start + chunk])
    return repetition


@pytest.mark.parametrize("period", ["a", "word ", '{"z": true}, ', "A sea of sapphires that shimmered blue.\n" * 3])
def test_a_repeated_string_has_its_whole_length(period: str) -> None:
    text = period * (3000 // len(period))
    length = fed("It begins in another way. " + text).length
    assert len(text) - 300 <= length <= len(text)


@pytest.mark.parametrize(
    "text",
    ["", "short", "".join(f"{number}, " for number in range(2000)), "ab" * 20 + "".join(f"line {n}\n" for n in range(300))],
    ids=["nothing", "short", "numbers", "lines"],
)
def test_text_that_continues_differently_is_not_repetition(text: str) -> None:
    assert fed(text).length == 0


def test_a_past_repetition_does_not_count() -> None:
    assert fed("round " * 300 + "".join(f"{number:x}!" for number in range(400))).length == 0


def test_counting_is_repetition_if_numbers_are_ignored() -> None:
    rows = fed("".join(f'{{"no": {number}, "text": "x"}}, ' for number in range(100)))
    assert rows.length == 0
    assert rows.length_ignoring_numbers > 1000
    assert (
        fed('"at": "2026-11-22T10:00:00.' + "".join(str(number * 7919) for number in range(100))).length_ignoring_numbers > 200
    )
    assert fed("").length_ignoring_numbers == 0
    assert fed("plain words that say something, " * 2 + "and then something else altogether " * 3).length_ignoring_numbers == 0
