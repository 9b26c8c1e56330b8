"""Checks of latency while a long prompt is read, and of the work that is left after a disconnect.

Three checks share one long prompt. Its length depends on the machine: it grows with the speed at which the server read a
shorter one, up to most of the window.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from itertools import pairwise

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.request_fixtures import body, user

SUBJECT = Subject("latency")
PROBE_WORDS = 400
WANTED_SECONDS = 17.0
LONGEST_WORDS = 20_000
ASSUMED_WINDOW = 4_000
LONGEST_SILENCE = 15.0
SOON = 2.0
FAIR_SECONDS = 5.0
ABANDONED = 8
"""Abandoned requests: twice the slots of a usual server."""


@dataclass(frozen=True, slots=True)
class LongRead:
    """The measurements of a long prompt: seconds until the first event, until the first token, and the longest silence.

    `beside` is the duration of a small request that was sent meanwhile, `alone` its duration without other load; `overtook` is
    true if it was answered before the first token of the long one.
    """

    first_event: float
    first_word: float
    silence: float
    beside: float
    alone: float
    overtook: bool


def _words(count: int) -> str:
    """Random words, which no cache has."""
    return " ".join(secrets.choice(("oak", "ash", "elm", "yew")) for _ in range(count))


async def _small(client: Client) -> float:
    """The duration of a small request in seconds."""
    began = time.monotonic()
    await client.message(body(max_tokens=1))
    return time.monotonic() - began


async def _long_read(client: Client) -> LongRead:
    alone = await _small(client)
    began = time.monotonic()
    await client.message(body(user(_words(PROBE_WORDS)), max_tokens=1))
    per_word = (time.monotonic() - began) / PROBE_WORDS
    most = int((client.window or ASSUMED_WINDOW) * 0.6)
    words = min(int(WANTED_SECONDS / per_word), most, LONGEST_WORDS)
    marks = [time.monotonic()]
    first_event = first_word = 0.0
    side: asyncio.Task[float] | None = None
    async with client.opened(body(user(_words(words)), max_tokens=2)) as arrivals:
        async for stream in arrivals:
            if stream.status != 200:
                raise Skip(f"a prompt of {words} words is answered {stream.status}")
            if side is None:
                side = asyncio.create_task(_small(client))
            if stream.events:
                marks.append(stream.now)
                first_event = first_event or stream.now - marks[0]
            if stream.deltas or stream.of("message_delta"):
                first_word = stream.now - marks[0]
                break
        overtook = side is not None and side.done()
        async for _ in arrivals:
            pass
    beside = await side if side is not None else 0.0
    silence = max(later - earlier for earlier, later in pairwise([*marks, marks[0] + first_word]))
    return LongRead(first_event, first_word, silence, beside, alone, overtook)


@SUBJECT.check("a stream begins before the prompt is read", "clients warn after 20 silent seconds", "SSE-6")
async def early_start(client: Client) -> None:
    read = await client.once(_long_read)
    if read.first_word < 2 * SOON:
        raise Skip(f"the longest prompt was read in {read.first_word:.1f} s")
    if read.first_event > SOON:
        raise CheckFailed(f"the first event came after {read.first_event:.1f} s, the first word after {read.first_word:.1f} s")


@SUBJECT.check(
    "a long prompt is not read in silence", "clients give up after 20 to 300 silent seconds, and start again", "CC-5", "SSE-19"
)
async def silence(client: Client) -> None:
    read = await client.once(_long_read)
    if read.silence > LONGEST_SILENCE:
        raise CheckFailed(f"{read.silence:.0f} s passed in silence")
    if read.first_word < LONGEST_SILENCE:
        raise Skip(f"the longest prompt was read in {read.first_word:.1f} s")


@SUBJECT.check(
    "a small request is not delayed by a long prompt",
    "titles, probes and sub-agents time out while they wait for the main loop",
    "CC-6",
)
async def small_beside_long(client: Client) -> None:
    read = await client.once(_long_read)
    if read.first_word < FAIR_SECONDS:
        raise Skip(f"the longest prompt was read in {read.first_word:.1f} s")
    if not read.overtook and read.beside > FAIR_SECONDS + read.alone:
        raise CheckFailed(f"it took {read.beside:.1f} s beside a prompt of {read.first_word:.1f} s, {read.alone:.1f} s alone")


@SUBJECT.check("a disconnect ends the generation", "abandoned answers take up the machine until it is blocked", "TRN-18")
async def leaving(client: Client) -> None:
    tale = body(user("Tell me a very long tale of a lighthouse, with all the details."), max_tokens=1000)
    begun = asyncio.Event()

    async def read() -> None:
        try:
            async with client.opened(tale) as arrivals:
                async for stream in arrivals:
                    if stream.deltas:
                        begun.set()
        finally:
            begun.set()

    alone = await _small(client)
    readers = [asyncio.create_task(read()) for _ in range(ABANDONED)]
    await begun.wait()
    too_late = any(reader.done() for reader in readers)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    after = await _small(client)
    if after > FAIR_SECONDS + 2 * alone:
        raise CheckFailed(f"a small request took {after:.1f} s after {ABANDONED} abandoned ones, {alone:.1f} s alone")
    if too_late:
        raise Skip("an answer was complete before the disconnect")
