"""Broken and hostile images: each is read or refused with a reason in bounded time, and the next one is read."""

from collections import Counter
from itertools import chain, islice

import pytest

from dragoman.conversation import AttachmentKind
from dragoman.media.outcomes import Sight, Wanted
from dragoman.media.reader import MediaReader

from .hostile_images import OTHER_TYPES, bombs, damaged
from .pictures import encoded, half


async def read_all(files: chain[bytes]) -> Counter[str]:
    """What reading each file gives: "read", or the reason why not."""
    reader, outcomes = MediaReader(Sight(images=True)), Counter[str]()
    for number, data in enumerate(files):
        (outcome,) = (await reader.outcomes({str(number): Wanted(AttachmentKind.IMAGE, data or b"\0")})).values()
        assert bool(outcome.parts) != bool(outcome.unreadable)
        outcomes[outcome.unreadable or "read"] += 1
    (last,) = (await reader.outcomes({"last": Wanted(AttachmentKind.IMAGE, encoded(half()))})).values()
    assert list(last.images)
    await reader.close()
    return outcomes


@pytest.mark.clause("IN-3")
async def test_damaged_images_and_other_files_are_read_or_refused() -> None:
    outcomes = await read_all(chain(OTHER_TYPES, islice(damaged(seed=1), 60)))
    assert min(outcomes["read"], outcomes["Could not process image: it cannot be decoded."]) > 5, outcomes


@pytest.mark.slow
@pytest.mark.clause("IN-3")
async def test_hundreds_of_images_and_bombs_are_read_or_refused() -> None:
    outcomes = await read_all(chain(bombs(), islice(damaged(seed=2), 500)))
    assert sum(outcomes.values()) == 512
    assert outcomes["read"] > 50, outcomes
