"""Keeping responses: chains, owners, age and size, and the file."""

import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dragoman.errors import StorageFailed
from dragoman.storage.place import Place
from dragoman.storage.responses import FILE, ResponseStore, StoredItem, StoredResponse


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(clock: Clock, place: Place) -> AsyncIterator[ResponseStore]:
    store = ResponseStore(place, limit=1000, age=60, now=clock)
    yield store
    await store.close()


def response(number: int, previous: int | None = None, owner: str = "", size: int = 100) -> StoredResponse:
    given = [StoredItem(f"in_{number}", b"i" * (size // 2))]
    before = None if previous is None else f"resp_{previous}"
    return StoredResponse(f"resp_{number}", owner, before, b"", given, [StoredItem(f"out_{number}", b"o" * (size // 2))])


async def kept(store: ResponseStore, *numbers: int, owner: str = "") -> list[int]:
    return [number for number in numbers if await store.find(f"resp_{number}", owner)]


async def test_a_response_is_found_as_it_was_saved(store: ResponseStore) -> None:
    await store.save(response(1))
    assert await store.find("resp_1", "") == response(1)
    assert await store.find("resp_2", "") is None
    assert await store.items(["in_1", "out_1", "x"], "") == {"in_1": b"i" * 50, "out_1": b"o" * 50}


async def test_the_events_of_a_response_are_kept_as_long_as_it_is(store: ResponseStore) -> None:
    await store.save(replace(response(1), events=b"e" * 10))
    assert await store.events("resp_1", "") == b"e" * 10
    assert await store.events("resp_1", "ann") is None
    await store.delete("resp_1", "")
    assert await store.events("resp_1", "") is None


async def test_the_history_of_a_response_has_the_items_of_all_that_it_continues(store: ResponseStore) -> None:
    for number, previous in ((1, None), (2, 1), (3, 2), (4, 1)):
        await store.save(response(number, previous))
    history = await store.history("resp_3", "")
    assert history is not None
    assert [item.id for item in history] == ["in_1", "out_1", "in_2", "out_2", "in_3", "out_3"]
    given = await store.history("resp_4", "", output=False)
    assert given is not None
    assert [item.id for item in given] == ["in_1", "out_1", "in_4"]


async def test_a_history_with_a_gap_is_not_found(store: ResponseStore) -> None:
    for number, previous in ((1, None), (2, 1), (3, 2)):
        await store.save(response(number, previous))
    assert await store.delete("resp_1", "")
    assert not await store.delete("resp_1", "")
    assert await store.history("resp_3", "") is None
    assert await store.items(["in_1"], "") == {}


@pytest.mark.clause("RSP-14")
async def test_only_the_owner_finds_a_response(store: ResponseStore) -> None:
    await store.save(response(1, owner="ann"))
    await store.save(response(2, previous=1, owner="bob"))
    assert await store.find("resp_1", "bob") is None
    assert await store.history("resp_1", "bob") is None
    assert await store.history("resp_2", "bob") is None
    assert await store.items(["in_1"], "bob") == {}
    assert not await store.delete("resp_1", "bob")
    assert await kept(store, 1, owner="ann") == [1]


@pytest.mark.clause("RSP-15")
async def test_what_was_not_used_for_long_is_removed(store: ResponseStore, clock: Clock) -> None:
    for number, previous in ((1, None), (2, 1), (3, None)):
        await store.save(response(number, previous))
    clock.now += 50
    assert await store.history("resp_2", "")
    clock.now += 50
    await store.save(response(4))
    assert await kept(store, 1, 2, 3, 4) == [1, 2, 4]


@pytest.mark.clause("RSP-15")
async def test_the_least_recently_used_responses_make_room(store: ResponseStore, clock: Clock) -> None:
    for number in range(1, 11):
        clock.now += 1
        await store.save(response(number))
    clock.now += 1
    await store.history("resp_1", "")
    await store.save(response(11, size=200))
    assert await kept(store, *range(1, 12)) == [1, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.clause("RSP-14")
async def test_the_file_is_private_and_outlives_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for expected in ([], [1]):
        store = ResponseStore(Place(folder))
        assert await kept(store, 1) == expected
        if not expected:
            await store.save(response(1))
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        await store.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_several_processes_may_use_the_file(tmp_path: Path) -> None:
    one, two = ResponseStore(Place(tmp_path)), ResponseStore(Place(tmp_path))
    await one.save(response(1))
    await two.save(response(2, previous=1))
    assert await kept(one, 1, 2) == [1, 2]
    await one.close()
    await two.close()


async def test_a_file_that_is_not_a_database_raises(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    store = ResponseStore(Place(tmp_path))
    with pytest.raises(StorageFailed):
        await store.save(response(1))
    await store.close()


async def test_with_a_limit_of_nothing_no_response_is_kept() -> None:
    assert ResponseStore().keeps
    assert not ResponseStore(limit=0).keeps
