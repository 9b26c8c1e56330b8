"""The common prefix of two prompts."""

from array import array
from random import Random

import pytest

from dragoman.prefix import common_prefix_length, packed

WINDOW = 16_384
LENGTHS = [0, 1, 2, 100, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 2 * WINDOW + 7]


@pytest.mark.parametrize("shared", LENGTHS)
@pytest.mark.parametrize(("more", "other_more"), [(0, 0), (0, 3), (3, 0), (5, 5), (2 * WINDOW, 1)])
def test_its_length_is_where_the_first_difference_is(shared: int, more: int, other_more: int) -> None:
    random = Random(shared)
    beginning = [random.randrange(300, 1000) for _ in range(shared)]
    one, other = [*beginning, *[1] * more], [*beginning, *[2] * other_more]
    assert common_prefix_length(array("I", one), array("I", other)) == shared
    assert common_prefix_length("".join(map(chr, one)), "".join(map(chr, other))) == shared


def test_ids_that_are_an_array_are_not_copied() -> None:
    ids = packed([1, 2])
    assert ids == array("I", [1, 2])
    assert packed(ids) is ids
