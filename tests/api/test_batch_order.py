"""The order of work in a batch, and the requests in its body."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from dragoman.api.anthropic.batches import MessageResults, split
from dragoman.api.batch_order import Position, work_order
from dragoman.errors import InvalidRequest


def positions(*bodies: dict[str, Any]) -> Sequence[Position]:
    return work_order(Raw(json.dumps(body).encode()) for body in bodies)


def ordered(*bodies: dict[str, Any]) -> list[int]:
    found = positions(*bodies)
    return sorted(range(len(found)), key=lambda number: found[number].place)


def test_requests_that_share_a_beginning_follow_each_other() -> None:
    systems = [f"{letter * 5000} end" for letter in "abc"]
    bodies = [{"max_tokens": 1, "messages": [f"question {number}"], "system": systems[number % 3]} for number in range(9)]
    groups = [number % 3 for number in ordered(*bodies)]
    assert sorted(groups) == sorted([0, 1, 2] * 3)
    assert sum(one != next_one for one, next_one in itertools.pairwise(groups)) == 2


def test_a_section_has_the_requests_that_share_most_of_their_beginnings() -> None:
    long = [{"messages": "abc"[number % 3] * 5000 + str(number)} for number in range(6)]
    sections = [position.section for position in positions(*long, {"messages": "short"}, {"messages": "short"})]
    assert sections[:3] == sections[3:6]
    assert len({0, *sections[:3]}) == 4
    assert sections[6:] == [0, 0]


def test_the_order_of_equal_beginnings_is_that_of_the_batch() -> None:
    assert ordered({"messages": ["a"]}, {"messages": ["a"]}, {"messages": ["a"]}) == [0, 1, 2]
    assert ordered({"model": 1}, {"messages": "a" * 3000 + "b"}, {"messages": "a" * 3000 + "c"}) != []
    assert work_order([Raw(b"[1]"), Raw(b"{}")]) == [(0, 0), (1, 0)]


@pytest.mark.clause("BAT-2")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The request body is not valid JSON"),
        (b"{}", "requests: Object missing required field `requests`"),
        (b'{"requests": []}', "requests: List should have at least 1 item"),
        (b'{"requests": [1]}', "requests.0: Expected `object`, got `int`"),
        (b'{"requests": [{"custom_id": "a"}]}', "requests.0: Object missing required field `params`"),
        (b'{"requests": [{"custom_id": "a b", "params": {}}]}', "requests.0.custom_id: String should match pattern"),
        (b'{"requests": [{"custom_id": "a", "params": []}]}', "requests.0.params: Input should be a valid dictionary"),
        (b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}', "requests.1.custom_id: `a`"),
        (json.dumps({"requests": [{}] * 100_001}).encode(), "requests: List should have at most 100000 items, not 100001"),
    ],
)
def test_a_wrong_batch_is_refused_by_name(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message.replace("[", r"\[")):
        split(body)


@pytest.mark.clause("BAT-3")
@pytest.mark.parametrize("field", [{"stream": True}, {"speed": "fast"}, {"thread": {"type": "create"}}, {"max_tokens": 0}])
def test_fields_that_a_request_of_a_batch_cannot_have_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=f"{next(iter(field))}: .* is not allowed in a request of a batch"):
        MessageResults().check(json.dumps(field).encode())
    MessageResults().check(b'{"stream": false, "max_tokens": 1}')
    MessageResults().check(b"[]")
