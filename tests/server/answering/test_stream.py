"""When the parts of an answer are written: alone, or with others that came at the same time."""

import asyncio
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Send

from dragoman.server.answering import stream
from dragoman.server.answering.stream import EventStream, Output

APART = 0.04  # seconds, twice as many as make parts come at the same time here


class Answer:
    """An answer whose parts come in bursts of this size, each with one event, its number."""

    api_format = SimpleNamespace(ping=b"", end=b"", frame=lambda event: b"%d " % event)
    record = None

    def __init__(self, bursts: list[int]) -> None:
        self._bursts = bursts

    def start(self) -> list[int]:
        """Return the events that begin the answer."""
        return []

    async def run(self, _slots: object, output: Output[int]) -> None:
        """Put the parts out."""
        output.start()
        numbers = count(1)
        for burst in self._bursts:
            await asyncio.sleep(APART)
            for number in islice(numbers, burst):
                await output.put([number])


@pytest.fixture(autouse=True)
def _same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_SAME_TIME", APART / 2)


async def writes(bursts: list[int]) -> list[list[int]]:
    """The parts in each write of such an answer."""
    written: list[list[int]] = []

    async def send(message: Message) -> None:
        if message["body"]:
            written.append([int(number) for number in message["body"].split()])

    async def begin() -> Send:
        return send

    answer: Any = Answer(bursts)
    await EventStream(answer, SimpleNamespace()).run(begin)  # type: ignore[arg-type]
    return written


@pytest.mark.clause("TRN-5")
async def test_each_part_that_comes_alone_is_written_alone() -> None:
    assert await writes([1] * 5) == [[1], [2], [3], [4], [5]]


async def test_parts_that_come_at_the_same_time_are_written_together() -> None:
    first, *rest = await writes([3] * 4)
    assert first[0] == 1
    assert rest[-3:] == [[4, 5, 6], [7, 8, 9], [10, 11, 12]]


async def test_parts_that_come_alone_again_are_written_alone_again() -> None:
    assert (await writes([3] * 3 + [1] * 4))[-4:] == [[10], [11], [12], [13]]
