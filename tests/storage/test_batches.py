"""Keeping batches: claims, leases, results, cancellation, expiry, and what is left of gateways that died."""

from collections.abc import AsyncIterator, Sequence

import pytest

from dragoman.errors import InvalidRequest, UnknownObject
from dragoman.storage.batches.queue import LEASE_S
from dragoman.storage.batches.rows import Claimed, NewRequest, State, StoredBatch
from dragoman.storage.batches.store import RESULTS_S, BatchStore
from dragoman.storage.pages import Page
from dragoman.storage.place import Place


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stores(clock: Clock, place: Place) -> AsyncIterator[list[BatchStore]]:
    """The stores of two gateways that share a database."""
    stores = [BatchStore(place, now=clock) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


def batch(identifier: str = "b", created: float = 1000.0, expires: float = 2000.0) -> StoredBatch:
    return StoredBatch(identifier, "", "/v1/messages", created, expires, None, None, None, 0, 0, 0, 0, 0, b"{}")


def requests(places: Sequence[int], model: str = "m") -> list[NewRequest]:
    return [NewRequest(number, place, f"r{number}", b"{}", model=model) for number, place in enumerate(places)]


def in_sections(sections: Sequence[int]) -> list[NewRequest]:
    return [NewRequest(number, number, f"r{number}", b"{}", section, "m") for number, section in enumerate(sections)]


async def claim(store: BatchStore, lanes: int = 1) -> list[Claimed]:
    return await store.queue.claim(lanes, ["m"])


async def taken(store: BatchStore, lanes: int = 1) -> list[int]:
    return [request.number for request in await claim(store, lanes)]


async def test_requests_are_claimed_in_the_order_of_work_and_each_once(stores: list[BatchStore]) -> None:
    await stores[0].add(batch(), requests([3, 1, 0, 2]))
    assert await taken(stores[0]) == [2, 1]
    assert await taken(stores[1]) == [3]
    assert await taken(stores[0]) == [0]
    assert await taken(stores[1]) == []


async def test_towards_the_end_each_lane_gets_fewer(stores: list[BatchStore]) -> None:
    await stores[0].add(batch(), requests(range(100)))
    shares = []
    while claimed := await taken(stores[0], lanes=4):
        shares.append(len(claimed))
    assert (shares[0], shares[-1], sum(shares)) == (13, 1, 100)


async def test_a_small_section_is_claimed_as_a_whole(stores: list[BatchStore]) -> None:
    await stores[0].add(batch(), in_sections([1] * 3 + [2] * 20))
    assert [len(await taken(stores[0], lanes=8)) for _ in range(3)] == [3, 2, 2]


async def test_lanes_keep_to_sections_of_their_own_as_long_as_there_are_some(stores: list[BatchStore]) -> None:
    await stores[0].add(batch(), in_sections([1] * 30 + [2] * 30))
    first = await claim(stores[0], lanes=4)
    second = await claim(stores[1], lanes=4)
    assert ({request.section for request in first}, {request.section for request in second}) == ({1}, {2})
    again = await stores[0].queue.claim(4, ["m"], first[-1])
    assert [request.section for request in again] == [1] * len(again)
    assert again[0].number == first[-1].number + 1
    assert {request.section for request in await claim(stores[1], lanes=4)} == {1}  # all have a lane: help one


async def test_requests_for_other_models_are_left_to_other_gateways(stores: list[BatchStore]) -> None:
    await stores[0].add(batch("a"), requests([0, 1], "other"))
    await stores[0].add(batch("b", created=1001), [*requests([0], "other"), NewRequest(1, 1, "r1", b"{}", model="m")])
    assert [(request.batch, request.model) for request in await claim(stores[0])] == [("b", "m")]
    assert await claim(stores[0]) == []
    assert await stores[0].queue.other_models(["m", ""]) == ["other"]
    assert [request.batch for request in await stores[1].queue.claim(1, ["other", "m"])] == ["a"]


async def test_the_oldest_batch_comes_first(stores: list[BatchStore]) -> None:
    await stores[0].add(batch("new", created=1001), requests([0]))
    await stores[0].add(batch("old"), requests([0]))
    assert [request.batch for _ in range(2) for request in await claim(stores[0])] == ["old", "new"]


async def test_what_a_dead_gateway_held_is_claimed_by_another_and_answered_once(stores: list[BatchStore], clock: Clock) -> None:
    dead, living = stores
    await dead.add(batch(), requests([0]))
    (held,) = await claim(dead)
    clock.now += LEASE_S - 1
    await dead.queue.extend([held.holder])
    clock.now += LEASE_S - 1
    assert await claim(living) == []
    clock.now += 1
    (taken_over,) = await claim(living)
    assert await dead.queue.begin(held) is None
    assert not await dead.queue.finish(held, State.SUCCEEDED, b"1")
    assert await living.queue.finish(taken_over, State.SUCCEEDED, b"2")
    assert not await living.queue.finish(taken_over, State.SUCCEEDED, b"3")
    assert [result.result for result in await living.results("b", -1, 9)] == [b"2"]


async def test_what_is_given_back_is_claimed_again(stores: list[BatchStore], clock: Clock) -> None:
    await stores[0].add(batch(), requests([0, 1]))
    first, second = [*await claim(stores[0]), *await claim(stores[0])]
    await stores[0].queue.release(first, pause=5)
    await stores[0].queue.release(second)
    assert await taken(stores[1]) == [second.number]
    clock.now += 5
    (kept,) = await claim(stores[1])
    assert kept.number == first.number
    await stores[1].queue.extend([kept.holder])  # a lane of it failed: the other claim is given back
    assert await taken(stores[0]) == [second.number]
    await stores[1].queue.extend(())
    assert await taken(stores[0]) == [first.number]


async def test_claims_may_change_while_they_are_extended(stores: list[BatchStore], clock: Clock) -> None:
    await stores[0].add(batch(), requests([0]))
    (held,) = await claim(stores[0])
    clock.now += LEASE_S - 1
    claims = {held.holder}
    extending = stores[0].queue.extend(claims)
    claims.add("another")  # by a lane, before the thread of the database comes to it
    await extending
    clock.now += LEASE_S - 1
    assert await claim(stores[1]) == []


async def test_a_batch_ends_when_all_of_its_requests_have(stores: list[BatchStore]) -> None:
    one, two = stores
    await one.add(batch(), requests([0, 1]))
    for request in [*await claim(one), *await claim(one)]:
        assert await one.take_ending() is None
        assert await one.queue.begin(request) == (await one.find("b", ""), b"{}")
        await one.queue.finish(request, State(request.number + 1), b"x")
    ending = await one.take_ending()
    assert ending is not None
    assert await two.take_ending() is None  # each batch is ended by one gateway
    await one.end(ending, b'{"a":1}')
    ended = await two.find("b", "")
    assert (ended.ended, ended.total, ended.succeeded, ended.errored, ended.details) == (1000, 2, 1, 1, b'{"a":1}')


@pytest.mark.clause("BAT-7")
async def test_a_cancelled_batch_begins_no_request(stores: list[BatchStore]) -> None:
    store = stores[0]
    await store.add(batch(), requests(range(4)))
    first, second = await claim(store)
    assert (await store.cancel("b", "")).cancelled == 1000
    assert await claim(store) == []
    assert await store.queue.begin(second) is None
    await store.queue.release(second)
    await store.queue.finish(first, State.SUCCEEDED, b"x")
    await store.sweep()
    assert await store.counts("b") == {State.SUCCEEDED: 1, State.CANCELED: 3}
    assert await store.take_ending() is not None


@pytest.mark.clause("BAT-4")
async def test_a_batch_expires(stores: list[BatchStore], clock: Clock) -> None:
    store = stores[0]
    await store.add(batch(), requests(range(2)))
    (held,) = await claim(store)
    clock.now = 2000
    assert await store.queue.begin(held) is None
    assert await claim(store) == []
    await store.sweep()
    assert await store.counts("b") == {State.EXPIRED: 2}  # the lease of the other one has ended, too


@pytest.mark.clause("BAT-7")
async def test_results_are_kept_for_29_days(stores: list[BatchStore], clock: Clock) -> None:
    store = stores[0]
    await store.add(batch(), requests([0]))
    with pytest.raises(InvalidRequest, match="has not ended"):
        await store.delete("b", "")
    (held,) = await claim(store)
    await store.queue.finish(held, State.SUCCEEDED, b"x")
    ending = await store.take_ending()
    assert ending is not None
    await store.end(ending, b"{}")
    clock.now = 1001 + RESULTS_S
    await store.sweep()
    kept = await store.find("b", "")
    assert (kept.archived, kept.succeeded, await store.results("b", -1, 9)) == (clock.now, 1, [])
    await store.delete("b", "")
    with pytest.raises(UnknownObject):
        await store.find("b", "")


async def test_a_batch_whose_gateway_died_while_it_was_kept_is_removed(stores: list[BatchStore], clock: Clock) -> None:
    store = stores[0]

    def failing() -> AsyncIterator[NewRequest]:
        raise MemoryError

    with pytest.raises(MemoryError):
        await store.add(batch(), (failing() for _ in range(1)))  # type: ignore[misc]
    assert await claim(store) == []
    assert await store.page("", Page(9), messages=True) == ([], False)
    clock.now += 3601
    await store.sweep()
    await store.add(batch(), requests([0]))


async def test_batches_of_other_keys_and_apis_are_not_listed(stores: list[BatchStore]) -> None:
    store = stores[0]
    for number in range(3):
        await store.add(batch(f"b{number}", created=1000 + number), requests([0]))
    listed, more = await store.page("", Page(2), messages=True)
    assert ([found.id for found in listed], more) == (["b2", "b1"], True)
    assert await store.page("", Page(2), messages=False) == ([], False)
    assert await store.page("other", Page(2), messages=True) == ([], False)
    assert not await store.queue.finish(Claimed("b0", 0, "r0", "m", ""), State.SUCCEEDED, b"")
