"""One helper for everything that reads text in pieces: parsers, stop scanners, decoders of event streams."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Outcome = TypeVar("Outcome")

POINTS = 1_000_000 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 20
"""Places of a text at most where it is cut in two; the other ways of cutting it go through all of them, too."""


def same_at_every_split(read: Callable[[Sequence[str]], Outcome], text: str, *, seed: int = 0) -> Outcome:
    """What `read` makes of `text`, having checked that it makes the same of it however it is cut into pieces.

    `read` takes the pieces and returns something that compares equal where the difference does not matter.
    """
    whole = read([text])
    for pieces in _splits(text, random.Random(seed)):
        outcome = read(pieces)
        assert outcome == whole, f"in pieces {pieces!r}:\n{outcome!r}\nin one:\n{whole!r}"
    return whole


def random_pieces(text: str, choose: random.Random, longest: int = 12) -> list[str]:
    """`text` in pieces of 0 to `longest` characters."""
    pieces = []
    while text:
        length = choose.randint(0, longest)
        pieces.append(text[:length])
        text = text[length:]
    return pieces


def _splits(text: str, choose: random.Random) -> Iterator[list[str]]:
    yield list(text)
    places = range(1, len(text))
    for point in places if len(places) <= POINTS else choose.sample(places, POINTS):
        yield [text[:point], text[point:]]
    for longest in (2, 3, 4, 5, 8, 13, 21):
        yield random_pieces(text, choose, longest)
