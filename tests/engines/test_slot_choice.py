"""The choice of slots, without an engine: a list of prompts in, a list of slots out."""

import pytest

from dragoman.engines import SHORT_PROMPT
from dragoman.engines.llama.slot_choice import SlotChoice, SlotLease
from engines.conftest import long_prompt

MAIN = long_prompt(4000, seed=1)
AGENT = [*MAIN[:1500], *long_prompt(400, seed=2)]
"""A sub-agent's prompt, with the system prompt and the tools of the main conversation."""
OTHER = long_prompt(2000, seed=3)
TITLE = long_prompt(60, seed=4)
SERVERS_CHOICE = None


def grown(prompt: list[int], turns: int = 1) -> list[int]:
    return [*prompt, *long_prompt(200 * turns, seed=99)]


def leased(choice: SlotChoice, *prompts: list[int]) -> list[int | None]:
    """The slots of requests that run one after the other; None where the server chooses."""
    return [finish(choice, choice.lease(prompt)) for prompt in prompts]


def finish(choice: SlotChoice, lease: SlotLease) -> int | None:
    choice.release(lease)
    return lease.slot if lease.named else SERVERS_CHOICE


def test_conversations_keep_their_slots_in_order_of_arrival() -> None:
    assert leased(SlotChoice(4), MAIN, OTHER, grown(MAIN), grown(OTHER), grown(MAIN, 2)) == [1, 2, 1, 2, 1]


def batched(choice: SlotChoice, *prompts: list[int]) -> list[SlotLease]:
    """The leases of requests of a batch, which run one after the other."""
    leases = []
    for prompt in prompts:
        leases.append(choice.lease(prompt, continued=False))
        choice.release(leases[-1])
    return leases


def test_requests_of_a_batch_that_share_a_beginning_have_one_slot_whatever_follows_it() -> None:
    first, second = ([*MAIN[:1500], *long_prompt(1000, seed=seed)] for seed in (11, 12))
    leases = batched(SlotChoice(4), first, second, first)
    assert [(lease.slot, lease.named, lease.takes) for lease in leases] == [(1, True, False)] * 3
    assert leased(SlotChoice(4), first, second) == [1, SERVERS_CHOICE]  # what a conversation left is not overwritten


def test_what_a_batch_left_makes_room_before_conversations() -> None:
    choice = SlotChoice(4)
    assert leased(choice, MAIN) == [1]
    assert [lease.slot for lease in batched(choice, OTHER, long_prompt(2000, seed=13))] == [2, 3]
    assert choice.conversations == 1
    assert leased(choice, long_prompt(2000, seed=14)) == [2]
    assert leased(choice, long_prompt(2000, seed=15), grown(MAIN)) == [3, 1]
    assert choice.lease(long_prompt(2000, seed=16)).takes  # from a conversation


def test_a_repeated_prompt_gets_the_same_slot() -> None:
    assert leased(SlotChoice(4), MAIN, OTHER, MAIN) == [1, 2, 1]


def test_short_prompts_have_a_reserved_slot_that_comes_first() -> None:
    assert leased(SlotChoice(4), TITLE, MAIN, [7], OTHER, long_prompt(SHORT_PROMPT, seed=5), grown(MAIN)) == [0, 1, 0, 2, 0, 1]


def test_a_growing_conversation_moves_out_of_the_reserved_slot() -> None:
    assert leased(SlotChoice(4), TITLE, grown(TITLE), grown(TITLE, 5), grown(TITLE, 6)) == [0, 0, 1, 1]


def test_a_short_prompt_gets_any_slot_without_a_long_prompt() -> None:
    choice = SlotChoice(4)
    assert leased(choice, MAIN) == [1]
    assert [choice.lease(TITLE).slot for _ in range(3)] == [0, 2, 3]
    assert choice.lease(TITLE) == SlotLease(1, named=False, takes=True)


def test_a_repeated_short_prompt_does_not_wait_for_a_long_one() -> None:
    choice = SlotChoice(4)
    shorts = [long_prompt(60, seed=seed) for seed in (5, 6, 7)]
    leases = [choice.lease(short) for short in shorts]
    assert [lease.slot for lease in leases] == [0, 1, 2]
    for lease in leases:
        choice.release(lease)
    assert leased(choice, shorts[2]) == [2]
    assert choice.lease(MAIN).slot == 1
    assert leased(choice, shorts[2], shorts[2]) == [0, 0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_with_few_slots_none_is_reserved(count: int) -> None:
    assert leased(SlotChoice(count), MAIN, grown(MAIN)) == [0, 0]


def test_where_a_slot_would_be_overwritten_the_server_chooses() -> None:
    assert leased(SlotChoice(1), MAIN, TITLE, grown(MAIN), OTHER, grown(MAIN, 2)) == [0, *[SERVERS_CHOICE] * 4]


def test_a_prompt_that_shares_a_prefix_gets_a_copy_in_another_slot() -> None:
    choice = SlotChoice(4)
    assert leased(choice, MAIN, TITLE, AGENT, grown(MAIN), grown(AGENT)) == [1, 0, SERVERS_CHOICE, 1, 3]


def test_a_short_shared_prefix_is_not_copied() -> None:
    assert leased(SlotChoice(4), MAIN, [*MAIN[:900], *OTHER], grown(MAIN)) == [1, 2, 1]


def test_an_evicted_conversation_is_left_to_the_server_which_has_a_copy() -> None:
    others = [long_prompt(1000, seed=seed) for seed in range(10, 13)]
    assert leased(SlotChoice(4), MAIN, *others, grown(MAIN)) == [1, 2, 3, 1, SERVERS_CHOICE]


def test_a_long_prompt_is_not_prefilled_in_the_reserved_slot() -> None:
    others = [long_prompt(1000, seed=seed) for seed in range(10, 14)]
    choice = SlotChoice(4)
    assert leased(choice, TITLE, *others) == [0, 1, 2, 3, 1]
    assert choice.lease(grown(others[0])) == SlotLease(
        0, named=False
    )  # but a mostly copied one may be: only little is left to prefill


def test_the_slot_that_ended_last_is_flushed_where_a_copy_is_wanted() -> None:
    edited = [*MAIN[:2500], *OTHER]
    choice = SlotChoice(4)
    assert leased(choice, MAIN) == [1]
    lease = choice.lease(edited)
    assert lease == SlotLease(3, named=False, flush=0)
    choice.release(lease)
    assert leased(choice, TITLE) == [0]
    assert choice.lease([*MAIN[:2400], *OTHER]) == SlotLease(2, named=False)  # it was copied when the others started


def test_a_busy_slot_is_not_leased_again() -> None:
    choice = SlotChoice(4)
    first = choice.lease(MAIN)
    second = choice.lease(MAIN)
    assert (first.slot, second.slot) == (1, 3)
    choice.release(first)
    assert choice.lease(grown(MAIN)) == SlotLease(1, named=True)
