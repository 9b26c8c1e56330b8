"""A helper for tests of everything that reads text in chunks: parsers, stop scanners, event stream decoders."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Outcome = TypeVar("Outcome")

POINTS = 1_000_000 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 12
"""The most positions at which a text is split in two; other splits cover all positions, too."""


def same_at_every_split(read: Callable[[Sequence[str]], Outcome], text: str, *, seed: int = 0) -> Outcome:
    """Return the result of `read` for `text`, after a check that every split into chunks gives the same result.

    `read` takes the chunks and returns a value that compares equal if the difference does not matter.
    """
    whole = read([text])
    for chunks in _splits(text, random.Random(seed)):
        outcome = read(chunks)
        assert outcome == whole, f"in chunks {chunks!r}:\n{outcome!r}\nin one:\n{whole!r}"
    return whole


def random_chunks(text: str, choose: random.Random, longest: int = 12) -> list[str]:
    """Return `text` in random chunks of 0 to `longest` characters."""
    chunks = []
    while text:
        length = choose.randint(0, longest)
        chunks.append(text[:length])
        text = text[length:]
    return chunks


def _splits(text: str, choose: random.Random) -> Iterator[list[str]]:
    yield list(text)
    places = range(1, len(text))
    for point in places if len(places) <= POINTS else choose.sample(places, POINTS):
        yield [text[:point], text[point:]]
    for longest in (2, 3, 5, 8, 21):
        yield random_chunks(text, choose, longest)
