"""What goes round in circles, and what only looks like it."""

import pytest

from dragoman.generation.repetition import Repetition


def hear(text: str, chunk: int = 5) -> Repetition:
    repetition = Repetition()
    for start in range(0, len(text), chunk):
        repetition.feed(text[start : start + chunk])
    return repetition


@pytest.mark.parametrize("round_", ["a", "word ", '{"z": true}, ', "A sea of sapphires that shimmered blue.\n" * 3])
def test_one_thing_over_and_over_is_as_long_as_it_is(round_: str):
    text = round_ * (3000 // len(round_))
    length = hear("It begins in another way. " + text).length
    assert len(text) - 300 <= length <= len(text)


@pytest.mark.parametrize(
    "text",
    ["", "short", "".join(f"{number}, " for number in range(2000)), "ab" * 20 + "".join(f"line {n}\n" for n in range(300))],
    ids=["nothing", "short", "numbers", "lines"],
)
def test_what_goes_on_in_another_way_is_no_circle(text: str):
    assert hear(text).length == 0


def test_a_circle_that_was_left_is_none():
    assert hear("round " * 300 + "".join(f"{number:x}!" for number in range(400))).length == 0


def test_counting_is_a_circle_where_numbers_count_as_one():
    rows = hear("".join(f'{{"no": {number}, "text": "x"}}, ' for number in range(100)))
    assert rows.length == 0
    assert rows.length_ignoring_numbers > 1000
    assert (
        hear('"at": "2026-11-22T10:00:00.' + "".join(str(number * 7919) for number in range(100))).length_ignoring_numbers > 200
    )
    assert hear("").length_ignoring_numbers == 0
    assert hear("plain words that say something, " * 2 + "and then something else altogether " * 3).length_ignoring_numbers == 0
